//! Proving to Bedrock who calls: by its own key, or by Signature Version 4.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::tls::Provider as Tls;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use tokio::sync::Mutex;

use super::PROVIDER;
use crate::error::ModelError;
use crate::http::{secret_header, under};

/// The service name that requests are signed for; the endpoint's name differs.
const SERVICE: &str = "bedrock";

/// Credentials are replaced this long before they end, so that none ends on its way.
const EXPIRY_MARGIN: Duration = Duration::from_secs(60);

/// How long credentials are kept that do not say when they end.
const LIFETIME_WITHOUT_EXPIRY: Duration = Duration::from_secs(15 * 60);

/// Who calls Bedrock.
#[derive(Clone)]
pub enum BedrockCredentials {
    /// AWS's default chain: environment, profile, or the role of the function.
    DefaultChain,
    /// A Bedrock API key.
    ApiKey(SecretString),
    /// Credentials from elsewhere.
    Provider(SharedCredentialsProvider),
}

impl fmt::Debug for BedrockCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DefaultChain => "DefaultChain",
            Self::ApiKey(_) => "ApiKey([REDACTED])",
            Self::Provider(_) => "Provider(..)",
        })
    }
}

/// Credentials that never change, for tests and tools.
impl From<Credentials> for BedrockCredentials {
    fn from(credentials: Credentials) -> Self {
        Self::Provider(SharedCredentialsProvider::new(credentials))
    }
}

/// What it takes to call Bedrock in a region.
pub(crate) struct Access {
    region: String,
    credentials: BedrockCredentials,
    /// Looked up at the first call: a cold start must not wait for it.
    cached: Mutex<Option<(Credentials, SystemTime)>>,
    secrets: Vec<SecretString>,
}

impl Access {
    pub fn new(region: String, credentials: BedrockCredentials) -> Self {
        let secrets = match &credentials {
            BedrockCredentials::ApiKey(key) => vec![key.clone()],
            _ => Vec::new(),
        };
        Self {
            region,
            credentials,
            cached: Mutex::new(None),
            secrets,
        }
    }

    /// What must never appear in an error.
    pub fn secrets(&self) -> &[SecretString] {
        &self.secrets
    }

    /// The headers that prove who sends `body`, which is JSON, to `url`.
    pub async fn authorise(&self, url: &Url, body: &[u8]) -> Result<HeaderMap, ModelError> {
        if let BedrockCredentials::ApiKey(key) = &self.credentials {
            let value = secret_header("Bearer ", key)?;
            return Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]));
        }
        let now = SystemTime::now();
        let credentials = self.current_credentials(now).await?;
        signature(&credentials, &self.region, url, body, now)
    }

    /// Credentials that are good for this call. Providers do not cache by themselves, and one
    /// that assumes a role would ask for it with every call.
    async fn current_credentials(&self, now: SystemTime) -> Result<Credentials, ModelError> {
        let mut cached = self.cached.lock().await;
        if let Some((credentials, good_until)) = cached.as_ref()
            && now < *good_until
        {
            return Ok(credentials.clone());
        }
        let chain;
        let provider = match &self.credentials {
            BedrockCredentials::Provider(provider) => provider,
            _ => {
                chain = self.default_chain().await?;
                &chain
            }
        };
        let credentials = provider.provide_credentials().await.map_err(|error| {
            tracing::warn!(error = %error, "AWS credentials for Bedrock could not be obtained");
            unauthorised()
        })?;
        let good_until = match credentials.expiry() {
            Some(expiry) => expiry.checked_sub(EXPIRY_MARGIN).unwrap_or(now),
            None => now + LIFETIME_WITHOUT_EXPIRY,
        };
        *cached = Some((credentials.clone(), good_until));
        Ok(credentials)
    }

    async fn default_chain(&self) -> Result<SharedCredentialsProvider, ModelError> {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Tls::Rustls(CryptoMode::AwsLc))
            .build_https();
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .region(aws_config::Region::new(self.region.clone()))
            .load()
            .await;
        config.credentials_provider().ok_or_else(unauthorised)
    }
}

/// The operation's URL. A model id may hold `:` and `/`, which the signer and the service both
/// expect escaped, and which a URL library leaves alone.
pub(crate) fn operation_url(base: &Url, model: &str, operation: &str) -> Result<Url, String> {
    let base = under(base, &["model"])?;
    let mut path = base.path().trim_end_matches('/').to_owned();
    path.push('/');
    for byte in model.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                path.push(char::from(byte));
            }
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path.push('/');
    path.push_str(operation);
    let mut url = base.clone();
    url.set_path(&path);
    Ok(url)
}

/// The headers that prove who calls, by Signature Version 4.
fn signature(
    credentials: &Credentials,
    region: &str,
    url: &Url,
    body: &[u8],
    now: SystemTime,
) -> Result<HeaderMap, ModelError> {
    let fault = |what: String| {
        tracing::warn!(error = %what, "a request to Bedrock could not be signed");
        unauthorised()
    };
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(SERVICE)
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| fault(error.to_string()))?
        .into();
    let host = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => return Err(fault("the endpoint has no host".to_owned())),
    };
    let signed_headers = [
        ("host", host.as_str()),
        ("content-type", "application/json"),
    ];
    let request = SignableRequest::new(
        "POST",
        url.as_str(),
        signed_headers.into_iter(),
        SignableBody::Bytes(body),
    )
    .map_err(|error| fault(error.to_string()))?;
    let (instructions, _) = sign(request, &params)
        .map_err(|error| fault(error.to_string()))?
        .into_parts();

    let mut headers = HeaderMap::new();
    for (name, value) in instructions.headers() {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_str(value);
        let (Ok(name), Ok(mut value)) = (name, value) else {
            return Err(fault("the signature is not a header".to_owned()));
        };
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn unauthorised() -> ModelError {
    ModelError::Unauthorized {
        provider: PROVIDER.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_ids_are_escaped_whole() {
        let base = Url::parse("https://bedrock-runtime.eu-west-1.amazonaws.com").unwrap();
        assert_eq!(
            operation_url(&base, "eu.amazon.nova-pro-v1:0", "converse-stream")
                .unwrap()
                .as_str(),
            "https://bedrock-runtime.eu-west-1.amazonaws.com/model/eu.amazon.nova-pro-v1%3A0/converse-stream"
        );
        assert_eq!(
            operation_url(
                &base,
                "arn:aws:bedrock:eu-west-1:1:inference-profile/a/../b",
                "converse-stream"
            )
            .unwrap()
            .path(),
            "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Fa%2F..%2Fb/converse-stream"
        );
    }

    #[test]
    fn a_signature_names_key_scope_and_session_and_changes_with_the_body() {
        let credentials = Credentials::new(
            "AKIDEXAMPLE",
            "secret-canary",
            Some("session".to_owned()),
            None,
            "test",
        );
        let url = Url::parse("http://127.0.0.1:4566/model/m%3A0/converse-stream").unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_772_359_200);
        let sign = |body: &[u8]| signature(&credentials, "eu-west-1", &url, body, at).unwrap();
        let headers = sign(b"{}");
        let authorisation = headers["authorization"].to_str().unwrap();
        assert!(
            authorisation.starts_with(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260301/eu-west-1/bedrock/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature="
            ),
            "{authorisation}"
        );
        assert_eq!(headers["x-amz-security-token"], "session");
        assert_ne!(headers["authorization"], sign(b"{} ")["authorization"]);
        assert!(!format!("{headers:?}").contains("canary"));
    }

    #[derive(Debug)]
    struct Counting(std::sync::atomic::AtomicU64);

    impl ProvideCredentials for Counting {
        fn provide_credentials<'a>(
            &'a self,
        ) -> aws_credential_types::provider::future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let count = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let expiry = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 * (count + 1));
            let credentials =
                Credentials::new(format!("AKID{count}"), "s", None, Some(expiry), "test");
            aws_credential_types::provider::future::ProvideCredentials::ready(Ok(credentials))
        }
    }

    #[tokio::test]
    async fn credentials_are_kept_until_shortly_before_they_end() {
        let provider = SharedCredentialsProvider::new(Counting(0.into()));
        let access = Access::new("eu-west-1".into(), BedrockCredentials::Provider(provider));
        for (seconds, key) in [
            (0, "AKID0"),
            (930, "AKID0"),
            (950, "AKID1"),
            (1000, "AKID1"),
        ] {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let credentials = access.current_credentials(now).await.unwrap();
            assert_eq!(credentials.access_key_id(), key, "at {seconds} s");
        }
    }

    #[test]
    fn credentials_do_not_print() {
        let credentials = BedrockCredentials::ApiKey(SecretString::from("canary"));
        assert!(!format!("{credentials:?}").contains("canary"));
    }
}
