#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda::Error> {
    documents::serve_if_child();
    let reader = file_processor::Reader::of_this_program()?;
    lambda::worker(|store| Ok(file_processor::handlers_with(store, reader))).await
}
