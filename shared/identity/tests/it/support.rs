//! Keys, tokens put together by hand so that they can be wrong in any way, and a key source that lies.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::FutureExt;
use futures::future::BoxFuture;
use identity::{KeySource, KeySourceError, Verifier};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

pub const ISSUER: &str = "https://issuer.example.com/pool";
pub const AUDIENCE: &str = "overglass";
/// 2026-01-01T00:00:00Z.
pub const NOW: i64 = 1_767_225_600;

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A private key with a key id.
pub struct Signer {
    pub kid: String,
    key: Key,
}

enum Key {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Signer {
    pub fn rsa(kid: &str) -> Self {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key");
        Self {
            kid: kid.to_owned(),
            key: Key::Rsa(key),
        }
    }

    pub fn ec(kid: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("an EC key");
        Self {
            kid: kid.to_owned(),
            key: Key::Ec(key),
        }
    }

    pub fn ed(kid: &str) -> Self {
        let key = Ed25519KeyPair::generate().expect("an Ed25519 key");
        Self {
            kid: kid.to_owned(),
            key: Key::Ed(key),
        }
    }

    pub fn one_of_each() -> [Self; 3] {
        [Self::rsa("rsa-1"), Self::ec("ec-1"), Self::ed("ed-1")]
    }

    pub fn alg(&self) -> &'static str {
        match self.key {
            Key::Rsa(_) => "RS256",
            Key::Ec(_) => "ES256",
            Key::Ed(_) => "EdDSA",
        }
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .expect("a signature");
                signature
            }
            Key::Ec(key) => key
                .sign(&random, message)
                .expect("a signature")
                .as_ref()
                .to_vec(),
            Key::Ed(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    /// The public key as the issuer publishes it.
    pub fn jwk(&self) -> Value {
        match &self.key {
            Key::Rsa(key) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(key.public_key());
                json!({"kty": "RSA", "kid": self.kid, "use": "sig", "alg": "RS256",
                       "n": b64(&public.n), "e": b64(&public.e)})
            }
            Key::Ec(key) => {
                let [_, x @ ..] = key.public_key().as_ref() else {
                    panic!("a point")
                };
                let (x, y) = x.split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": self.kid, "x": b64(x), "y": b64(y)})
            }
            Key::Ed(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "x": b64(key.public_key())})
            }
        }
    }

    /// The public key in the bytes that a confused verifier would take for an HMAC secret.
    pub fn public_bytes(&self) -> Vec<u8> {
        match &self.key {
            Key::Rsa(key) => key.public_key().as_ref().to_vec(),
            Key::Ec(key) => key.public_key().as_ref().to_vec(),
            Key::Ed(key) => key.public_key().as_ref().to_vec(),
        }
    }

    pub fn header(&self) -> Value {
        json!({"alg": self.alg(), "kid": self.kid, "typ": "JWT"})
    }

    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&self.header(), claims)
    }

    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        self.token_of(&header.to_string(), &claims.to_string())
    }

    /// Signs header and payload as they are written.
    pub fn token_of(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", b64(header), b64(claims));
        let signature = self.sign(message.as_bytes());
        format!("{message}.{}", b64(signature))
    }
}

pub fn key_set<'a>(signers: impl IntoIterator<Item = &'a Signer>) -> Vec<u8> {
    let keys: Vec<Value> = signers.into_iter().map(Signer::jwk).collect();
    json!({ "keys": keys }).to_string().into_bytes()
}

/// Claims of a token that is fine at `NOW`.
pub fn claims() -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "user-1", "exp": NOW + 300, "nbf": NOW - 5})
}

/// [`claims`] with some of them replaced, or removed by `null`.
pub fn claims_with(changes: &Value) -> Value {
    let mut all = claims();
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => all.as_object_mut().expect("an object").remove(name),
            value => all
                .as_object_mut()
                .expect("an object")
                .insert(name.clone(), value.clone()),
        };
    }
    all
}

pub fn verifier(source: Arc<dyn KeySource>) -> Verifier {
    Verifier::new(ISSUER, [AUDIENCE], source).expect("a verifier")
}

/// A verifier that knows one Ed25519 key, with that key.
pub fn simple() -> (Signer, Verifier) {
    let signer = Signer::ed("ed-1");
    let verifier = verifier(FakeSource::new(key_set([&signer])));
    (signer, verifier)
}

/// A source that counts, and answers what the test says, when the test says.
pub struct FakeSource {
    answer: Mutex<Result<Vec<u8>, String>>,
    fetches: AtomicUsize,
    /// A fetch ends when it gets a permit.
    gate: Semaphore,
}

impl FakeSource {
    /// Answers at once.
    pub fn new(answer: Vec<u8>) -> Arc<Self> {
        let source = Self::closed(answer);
        source.open();
        source
    }

    /// Answers once it is opened.
    pub fn closed(answer: Vec<u8>) -> Arc<Self> {
        Arc::new(Self {
            answer: Mutex::new(Ok(answer)),
            fetches: AtomicUsize::new(0),
            gate: Semaphore::new(0),
        })
    }

    pub fn open(&self) {
        self.gate.add_permits(1);
    }

    pub fn close(&self) {
        self.gate.forget_permits(usize::MAX >> 8);
    }

    pub fn publish(&self, document: Vec<u8>) {
        *self.answer.lock().expect("the answer") = Ok(document);
    }

    pub fn go_down(&self) {
        *self.answer.lock().expect("the answer") = Err("connection refused".to_owned());
    }

    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

impl KeySource for FakeSource {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, KeySourceError>> {
        async move {
            self.fetches.fetch_add(1, Ordering::SeqCst);
            let _permit = self.gate.acquire().await.expect("an open gate");
            // Other tasks get their turn, as they would during a real request.
            tokio::task::yield_now().await;
            self.answer
                .lock()
                .expect("the answer")
                .clone()
                .map_err(KeySourceError)
        }
        .boxed()
    }
}
