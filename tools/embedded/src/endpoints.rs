//! Where the services answer, and SDK clients for them.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use serde::Serialize;

/// The region every request is signed for. SQS derives the ARNs of its queues
/// from the host name of a request and takes this one for loopback.
pub(crate) const REGION: &str = "us-east-1";

/// Known to everyone, and kept from one start to the next so that a presigned
/// URL outlives a restart. What protects the services is that they listen on
/// loopback only.
pub(crate) const ACCESS_KEY_ID: &str = "overglass";
pub(crate) const SECRET_ACCESS_KEY: &str = "overglass-local";

/// The addresses of the running services, and what to sign requests with.
#[derive(Clone, Debug, Serialize)]
pub struct Endpoints {
    /// DynamoDB and DynamoDB Streams, as `http://127.0.0.1:<port>`.
    pub dynamodb: String,
    /// S3. Buckets are in the path.
    pub s3: String,
    /// SQS. A queue's URL is this, the account and the name.
    pub sqs: String,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl Endpoints {
    pub(crate) fn new(dynamodb: u16, s3: u16, sqs: u16) -> Self {
        let url = |port| format!("http://127.0.0.1:{port}");
        Self {
            dynamodb: url(dynamodb),
            s3: url(s3),
            sqs: url(sqs),
            region: REGION.to_owned(),
            access_key_id: ACCESS_KEY_ID.to_owned(),
            secret_access_key: SECRET_ACCESS_KEY.to_owned(),
        }
    }

    /// The variables by which any AWS SDK or tool finds the services.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL_DYNAMODB", self.dynamodb.clone()),
            ("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", self.dynamodb.clone()),
            ("AWS_ENDPOINT_URL_S3", self.s3.clone()),
            ("AWS_ENDPOINT_URL_SQS", self.sqs.clone()),
            ("AWS_REGION", self.region.clone()),
            ("AWS_ACCESS_KEY_ID", self.access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.secret_access_key.clone()),
        ]
    }

    /// What every client shares. It has no endpoint, since each service has
    /// its own port, and reads nothing from the environment, so that a
    /// person's AWS profile cannot send local data elsewhere.
    pub fn sdk_config(&self) -> SdkConfig {
        let credentials = Credentials::from_keys(
            self.access_key_id.clone(),
            self.secret_access_key.clone(),
            None,
        );
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build()
    }
}

/// One client for each service.
#[derive(Clone, Debug)]
pub struct Clients {
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub streams: aws_sdk_dynamodbstreams::Client,
    pub s3: aws_sdk_s3::Client,
    pub sqs: aws_sdk_sqs::Client,
}

impl Clients {
    /// Makes the clients; they connect on first use.
    pub fn new(endpoints: &Endpoints) -> Self {
        let shared = endpoints.sdk_config();
        let dynamodb = aws_sdk_dynamodb::config::Builder::from(&shared)
            .endpoint_url(&endpoints.dynamodb)
            .build();
        let streams = aws_sdk_dynamodbstreams::config::Builder::from(&shared)
            .endpoint_url(&endpoints.dynamodb)
            .build();
        let s3 = aws_sdk_s3::config::Builder::from(&shared)
            .endpoint_url(&endpoints.s3)
            .force_path_style(true)
            .build();
        let sqs = aws_sdk_sqs::config::Builder::from(&shared)
            .endpoint_url(&endpoints.sqs)
            .build();
        Self {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb),
            streams: aws_sdk_dynamodbstreams::Client::from_conf(streams),
            s3: aws_sdk_s3::Client::from_conf(s3),
            sqs: aws_sdk_sqs::Client::from_conf(sqs),
        }
    }
}
