#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda::Error> {
    crawler::serve().await
}
