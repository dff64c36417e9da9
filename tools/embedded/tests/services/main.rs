//! The embedded services as the SDK sees them, over loopback.

mod lifecycle;
mod objects;
mod queues;
mod streams;
mod support;
mod tables;
mod vectors;
