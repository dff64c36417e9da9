//! Who is calling: tokens of an OpenID Connect issuer, and API keys. This crate decides whether a
//! credential is genuine; what its holder may do is decided elsewhere.
//!
//! | question | answer | file |
//! |---|---|---|
//! | is this JWT genuine, and whose is it | [`Verifier::verify`] gives [`Claims`] or a [`TokenError`] | `verifier.rs`, `claims.rs` |
//! | which keys does the issuer sign with now | a cache over a [`KeySource`] | `cache.rs`, `keys.rs` |
//! | where do those keys come from | [`HttpKeySource`], [`StaticKeys`] | `source.rs` |
//! | is this text an API key of ours | [`ApiKey::parse`] gives a [`ParsedKey`], without I/O | `api_key.rs` |
//! | make a new API key | [`ApiKey::generate`] | `api_key.rs` |
//!
//! Time is always passed in, in seconds since the Unix epoch, so that expiry can be tested.

mod api_key;
mod cache;
mod claims;
mod error;
mod keys;
mod source;
mod verifier;

pub use api_key::{ApiKey, KeyEnvironment, KeyFormatError, ParsedKey};
pub use claims::Claims;
pub use error::{ConfigError, TokenError};
pub use source::{HttpKeySource, KeySource, KeySourceError, StaticKeys};
pub use verifier::{MAX_TOKEN_BYTES, Verifier};
