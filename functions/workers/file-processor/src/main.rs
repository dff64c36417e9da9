#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda::Error> {
    file_processor::serve().await
}
