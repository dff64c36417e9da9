//! What the host keeps in its data folder beside the stores: the secret that signs cursors and
//! wraps the keys of credentials, and the key that signs tokens. Readable by the folder's owner only.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::signing::SigningKey;
use vault::SecretWrap;

/// The host's keys.
pub struct Secrets {
    signing_secret: String,
    /// A P-256 key in PKCS #8.
    token_key: Vec<u8>,
}

impl Secrets {
    /// The keys of a data folder, made at its first use; without a folder, keys for this process.
    ///
    /// # Errors
    /// A folder that cannot be read or written.
    pub fn open(folder: Option<&Path>) -> anyhow::Result<Self> {
        let signing_secret = keep(folder, "signing-secret", || {
            let bytes: [u8; 32] = rand::random();
            Ok(STANDARD.encode(bytes).into_bytes())
        })?;
        let token_key = keep(folder, "token-key", || {
            let key = EcdsaKeyPair::generate_pkcs8(
                &ECDSA_P256_SHA256_FIXED_SIGNING,
                &SystemRandom::new(),
            )
            .map_err(|_| anyhow::anyhow!("a key for tokens could not be made"))?;
            Ok(key.as_ref().to_vec())
        })?;
        let signing_secret = String::from_utf8(signing_secret)
            .context("the signing secret of the data folder is damaged")?;
        Ok(Self {
            signing_secret,
            token_key,
        })
    }

    /// The key that signs cursors and invitations.
    ///
    /// # Errors
    /// A secret that is damaged.
    pub fn signing_key(&self) -> anyhow::Result<SigningKey> {
        SigningKey::from_base64(&self.signing_secret)
            .context("the signing secret of the data folder is damaged")
    }

    /// What wraps the keys that credentials are encrypted under.
    ///
    /// # Errors
    /// A secret that is damaged.
    pub fn key_wrap(&self) -> anyhow::Result<SecretWrap> {
        SecretWrap::from_base64(&self.signing_secret)
            .context("the signing secret of the data folder is damaged")
    }

    /// The key that signs tokens, in PKCS #8.
    #[must_use]
    pub fn token_key(&self) -> &[u8] {
        &self.token_key
    }
}

fn keep(
    folder: Option<&Path>,
    name: &str,
    make: impl FnOnce() -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<Vec<u8>> {
    let Some(folder) = folder else { return make() };
    let path = folder.join(name);
    match fs::read(&path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let bytes = make()?;
            write_private(&path, &bytes)
                .with_context(|| format!("{} cannot be written", path.display()))?;
            Ok(bytes)
        }
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

/// Writes a file whole or not at all.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(unfinished, path)
}
