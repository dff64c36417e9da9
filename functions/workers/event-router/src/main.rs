#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda::Error> {
    lambda::stream(|store| event_router::EventRouter::new(store.clone())).await
}
