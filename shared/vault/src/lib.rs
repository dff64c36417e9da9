//! Secrets at rest: envelope encryption with a data key for each org.
//!
//! ```text
//!  secret ── AES-256-GCM under the org's data key ──► sealed bytes, kept in a row
//!                          │
//!                          └── wrapped by KMS, or on a local host by a key made from
//!                              OVERGLASS_SECRET ──► wrapped key, kept in a row beside
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | which wrap a process uses |
//! | [`place`] | where a secret belongs: what its encryption is bound to |
//! | [`sealed`] | the format of sealed bytes |
//! | [`vault`](mod@vault) | [`Vault`]: sealing, opening, data keys and their rotation |
//! | [`wrap`] | [`KeyWrap`]: wrapping data keys, by KMS or by a secret |
//!
//! A sealed secret opens only at the place that it was sealed for: the org, the kind and id of what
//! it belongs to, its version, and whatever facts about it must not be changed without it. A row
//! that is moved to another org or another tool, or put back from an earlier version, or whose
//! facts were edited, does not open.
//!
//! Nothing here prints a secret: values are [`secrecy`] types, and keys show as `…`.

mod cache;
pub mod config;
mod key;
pub mod place;
pub mod sealed;
pub mod vault;
pub mod wrap;

pub use config::VaultConfig;
pub use place::Place;
pub use vault::{DataKeyRows, RowError, Vault, VaultError, WrappedKey};
pub use wrap::{KeyContext, KeyWrap, KmsWrap, SecretWrap, WrapError};
