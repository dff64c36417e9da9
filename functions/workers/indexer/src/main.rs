#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda::Error> {
    indexer::serve().await
}
