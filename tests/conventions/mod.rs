//! What holds for every operation alike.

mod etags;
mod health;
mod idempotency;
mod requests;
