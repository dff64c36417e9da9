//! Tests of the crate from outside, with real keys made on the spot.

mod api_keys;
mod http_source;
mod key_cache;
mod signatures;
mod support;
mod tokens;
