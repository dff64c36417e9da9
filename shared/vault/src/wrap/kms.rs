//! Wrapping by a key of AWS KMS, which never leaves it.

use std::error::Error;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_kms::Client;
use aws_sdk_kms::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use secrecy::zeroize::Zeroizing;

use super::{KeyBytes, KeyContext, KeyWrap, WrapError, key_bytes};

/// How long one request to KMS may take, and how long it may take with its retries.
const ATTEMPT: Duration = Duration::from_secs(3);
const CALL: Duration = Duration::from_secs(8);

/// Wraps data keys by a KMS key. The client is made by the first call, so that a cold start which
/// needs no secret does not pay for it.
pub struct KmsWrap {
    sdk: SdkConfig,
    key_id: String,
    client: OnceLock<Client>,
}

impl fmt::Debug for KmsWrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsWrap")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

impl KmsWrap {
    /// A wrap by the key with this id, ARN or alias.
    #[must_use]
    pub fn new(sdk: SdkConfig, key_id: impl Into<String>) -> Self {
        Self {
            sdk,
            key_id: key_id.into(),
            client: OnceLock::new(),
        }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let timeouts = TimeoutConfig::builder()
                .operation_attempt_timeout(ATTEMPT)
                .operation_timeout(CALL)
                .build();
            let config = aws_sdk_kms::config::Builder::from(&self.sdk).timeout_config(timeouts);
            Client::from_conf(config.build())
        })
    }
}

#[async_trait]
impl KeyWrap for KmsWrap {
    fn name(&self) -> &'static str {
        "kms"
    }

    async fn generate(&self, context: &KeyContext) -> Result<(KeyBytes, Vec<u8>), WrapError> {
        let request = self
            .client()
            .generate_data_key()
            .key_id(&self.key_id)
            .key_spec(DataKeySpec::Aes256)
            .encryption_context("org", context.org.to_string())
            .encryption_context("purpose", context.purpose);
        // Boxed: the SDK's futures are deep and large.
        let output = Box::pin(request.send()).await.map_err(refusal)?;
        let key = key_bytes(&taken(output.plaintext))?;
        let wrapped = output.ciphertext_blob.map(Blob::into_inner);
        Ok((key, wrapped.unwrap_or_default()))
    }

    async fn unwrap(&self, context: &KeyContext, wrapped: &[u8]) -> Result<KeyBytes, WrapError> {
        let request = self
            .client()
            .decrypt()
            // Named, so that what was made under another key is refused rather than opened.
            .key_id(&self.key_id)
            .ciphertext_blob(Blob::new(wrapped))
            .encryption_context("org", context.org.to_string())
            .encryption_context("purpose", context.purpose);
        let output = Box::pin(request.send()).await.map_err(refusal)?;
        key_bytes(&taken(output.plaintext))
    }
}

fn taken(plaintext: Option<Blob>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(plaintext.map(Blob::into_inner).unwrap_or_default())
}

/// What an error of KMS means. It names keys and contexts, and never holds a key.
fn refusal<E, R>(error: SdkError<E, R>) -> WrapError
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: fmt::Debug + Send + Sync + 'static,
{
    let code = error.code().unwrap_or_default().to_owned();
    match code.as_str() {
        "InvalidCiphertextException" | "IncorrectKeyException" => WrapError::DoesNotUnwrap,
        "AccessDeniedException"
        | "DisabledException"
        | "InvalidGrantTokenException"
        | "InvalidKeyUsageException"
        | "KMSInvalidStateException"
        | "NotFoundException"
        | "ValidationException" => WrapError::Refused(DisplayErrorContext(error).to_string()),
        _ => WrapError::Unavailable(DisplayErrorContext(error).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex};

    use aws_config::{BehaviorVersion, Region};
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_types::body::SdkBody;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use kernel::OrgId;
    use secrecy::ExposeSecret as _;
    use serde_json::{Value, json};

    use super::*;

    const KEY: &str = "arn:aws:kms:eu-central-1:123456789012:key/1234";

    /// A KMS that keeps one key: what it wraps is a number, behind which it remembers the data key
    /// and its context.
    #[derive(Debug, Clone, Default)]
    struct FakeKms(Arc<Mutex<State>>);

    #[derive(Debug, Default)]
    struct State {
        wrapped: HashMap<String, (String, Value)>,
        requests: Vec<(String, Value)>,
        /// The answer to the next requests: a status and the code of an error.
        failing: Option<(u16, &'static str)>,
    }

    impl FakeKms {
        fn answer(&self, request: &HttpRequest) -> (u16, Value) {
            let operation = request.headers().get("x-amz-target").unwrap_or_default();
            let operation = operation.trim_start_matches("TrentService.").to_owned();
            let body: Value =
                serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap();
            let mut state = self.0.lock().unwrap();
            state.requests.push((operation.clone(), body.clone()));
            if let Some((status, code)) = state.failing {
                return (status, json!({ "__type": code, "message": "no" }));
            }
            let context = body["EncryptionContext"].clone();
            if operation == "GenerateDataKey" {
                let key = STANDARD.encode([state.wrapped.len() as u8; 32]);
                let blob = STANDARD.encode(format!("wrapped {}", state.wrapped.len()));
                state.wrapped.insert(blob.clone(), (key.clone(), context));
                let answer = json!({ "Plaintext": key, "CiphertextBlob": blob, "KeyId": KEY });
                return (200, answer);
            }
            let blob = body["CiphertextBlob"].as_str().unwrap_or_default();
            match state.wrapped.get(blob) {
                Some((key, known)) if *known == context => {
                    (200, json!({ "Plaintext": key, "KeyId": KEY }))
                }
                _ => (400, json!({ "__type": "InvalidCiphertextException" })),
            }
        }
    }

    impl HttpConnector for FakeKms {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let (status, body) = self.answer(&request);
            HttpConnectorFuture::ready(Ok(HttpResponse::new(
                status.try_into().unwrap(),
                SdkBody::from(body.to_string()),
            )))
        }
    }

    fn wrap(kms: &FakeKms) -> KmsWrap {
        let connector = SharedHttpConnector::new(kms.clone());
        let credentials = Credentials::from_keys("id", "secret", None);
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-central-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(aws_config::retry::RetryConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build();
        KmsWrap::new(sdk, KEY)
    }

    #[tokio::test]
    async fn kms_is_told_the_key_its_use_and_the_org() {
        let kms = FakeKms::default();
        let (mine, theirs) = (OrgId::from_u128(1), OrgId::from_u128(2));
        let wrap = wrap(&kms);
        assert!(
            wrap.client.get().is_none(),
            "nothing is made before it is needed"
        );
        let (key, wrapped) = wrap.generate(&KeyContext::of(mine)).await.unwrap();
        let again = wrap.unwrap(&KeyContext::of(mine), &wrapped).await.unwrap();
        assert_eq!(key.expose_secret(), again.expose_secret());
        let foreign = wrap.unwrap(&KeyContext::of(theirs), &wrapped).await;
        assert_eq!(foreign.unwrap_err(), WrapError::DoesNotUnwrap);

        let state = kms.0.lock().unwrap();
        let context = json!({ "org": mine.to_string(), "purpose": "overglass-vault" });
        let (operation, asked) = &state.requests[0];
        assert_eq!(operation, "GenerateDataKey");
        assert_eq!(
            *asked,
            json!({ "KeyId": KEY, "KeySpec": "AES_256", "EncryptionContext": context })
        );
        let (operation, asked) = &state.requests[1];
        assert_eq!(
            (operation.as_str(), &asked["KeyId"]),
            ("Decrypt", &json!(KEY))
        );
        assert_eq!(asked["EncryptionContext"], context);
    }

    #[tokio::test]
    async fn what_passes_is_told_from_what_somebody_must_repair() {
        for (status, code, transient) in [
            (400, "ThrottlingException", true),
            (500, "KMSInternalException", true),
            (503, "DependencyTimeoutException", true),
            (500, "KeyUnavailableException", true),
            (400, "AccessDeniedException", false),
            (400, "DisabledException", false),
            (400, "KMSInvalidStateException", false),
            (400, "NotFoundException", false),
        ] {
            let kms = FakeKms::default();
            kms.0.lock().unwrap().failing = Some((status, code));
            let context = KeyContext::of(OrgId::from_u128(1));
            let error = wrap(&kms).generate(&context).await.unwrap_err();
            let is_transient = matches!(error, WrapError::Unavailable(_));
            let is_refused = matches!(error, WrapError::Refused(_));
            assert_eq!(
                (is_transient, is_refused),
                (transient, !transient),
                "{code}: {error}"
            );
            assert!(error.to_string().contains(code), "{error}");
        }
    }

    #[tokio::test]
    async fn a_key_of_another_length_is_no_key() {
        assert_eq!(key_bytes(&[1; 16]).unwrap_err(), WrapError::DoesNotUnwrap);
        assert_eq!(key_bytes(&[]).unwrap_err(), WrapError::DoesNotUnwrap);
    }
}
