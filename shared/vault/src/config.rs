//! Which wrap a process uses, by its environment.

use std::sync::Arc;

use aws_config::SdkConfig;
use kernel::Clock;
use kernel::env::{ConfigError, EnvReader};

use crate::vault::Vault;
use crate::wrap::{KeyWrap, KmsWrap, SecretWrap};

/// The variable with the id, ARN or alias of the KMS key.
pub const KEY_VARIABLE: &str = "OVERGLASS_KEY_VAULT";
const SECRET_VARIABLE: &str = "OVERGLASS_SECRET";
const ENVIRONMENT_VARIABLE: &str = "OVERGLASS_ENV";

/// How data keys are wrapped.
#[derive(Debug)]
pub enum VaultConfig {
    /// By this key of KMS.
    Kms { key_id: String },
    /// By the secret of a local host.
    Secret(SecretWrap),
}

impl VaultConfig {
    /// Reads `OVERGLASS_KEY_VAULT`. Only in the environment `local`, where there may be no KMS, may
    /// it be absent; `OVERGLASS_SECRET` serves then.
    ///
    /// # Errors
    /// Names what is missing or wrong.
    pub fn from_env(source: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = EnvReader::new(source);
        let is_local = env.optional(ENVIRONMENT_VARIABLE).as_deref() == Some("local");
        if let Some(key_id) = env.optional(KEY_VARIABLE) {
            return env.finish(Self::Kms { key_id });
        }
        if !is_local {
            let key_id = env.required(KEY_VARIABLE);
            return env.finish(Self::Kms { key_id });
        }
        let secret = env.required(SECRET_VARIABLE);
        let wrap = match SecretWrap::from_base64(&secret) {
            Ok(wrap) => Some(wrap),
            Err(error) => {
                if !secret.is_empty() {
                    env.reject(SECRET_VARIABLE, error);
                }
                None
            }
        };
        match env.finish(wrap)? {
            Some(wrap) => Ok(Self::Secret(wrap)),
            None => unreachable!("whatever could not be read was rejected"),
        }
    }

    /// The vault of a process. Connects to nothing.
    #[must_use]
    pub fn open(self, sdk: &SdkConfig, clock: Arc<dyn Clock>) -> Vault {
        let wrap: Arc<dyn KeyWrap> = match self {
            Self::Kms { key_id } => Arc::new(KmsWrap::new(sdk.clone(), key_id)),
            Self::Secret(wrap) => Arc::new(wrap),
        };
        Vault::new(wrap, clock)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<VaultConfig, ConfigError> {
        VaultConfig::from_env(&|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_deployment_has_a_key_of_kms_and_a_laptop_may_have_a_secret() {
        let secret = STANDARD.encode([7; 32]);
        let kms = read(&[
            ("OVERGLASS_ENV", "prod"),
            ("OVERGLASS_KEY_VAULT", "alias/x"),
        ]);
        assert!(matches!(kms, Ok(VaultConfig::Kms { key_id }) if key_id == "alias/x"));
        let local = read(&[("OVERGLASS_ENV", "local"), ("OVERGLASS_SECRET", &secret)]);
        assert!(matches!(local, Ok(VaultConfig::Secret(_))));
        // A secret in the environment of a function is no substitute for a key that it cannot read.
        let prod = read(&[("OVERGLASS_ENV", "prod"), ("OVERGLASS_SECRET", &secret)]);
        assert!(
            prod.unwrap_err()
                .to_string()
                .contains("OVERGLASS_KEY_VAULT is not set")
        );
        let nothing = read(&[("OVERGLASS_ENV", "local")]).unwrap_err().to_string();
        assert!(nothing.contains("OVERGLASS_SECRET is not set"), "{nothing}");
        let weak = read(&[("OVERGLASS_ENV", "local"), ("OVERGLASS_SECRET", "canary")]);
        let weak = weak.unwrap_err().to_string();
        assert!(
            weak.contains("OVERGLASS_SECRET") && !weak.contains("canary"),
            "{weak}"
        );
    }
}
