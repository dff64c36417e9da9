//! From upload to search and back to nothing: the API of files and knowledge bases and the handlers
//! of this worker, over the embedded services, joined by real queues.

mod deletion;
mod documents;
mod hostile;
mod models;
mod refusals;
mod repetition;
mod samples;
mod trouble;
mod versions;
mod world;
