//! What every journey stands on.

pub mod asked;
pub mod bare;
pub mod client;
pub mod fixture;
pub mod instance;
pub mod listener;
pub mod operations;
pub mod redact;
pub mod search;
pub mod stream;
pub mod tables;
pub mod world;

pub use client::{Answer, Api, send, text};
pub use world::{Setup, World, ended, eventually, tenant, within};
