//! Records of requests that carried an `Idempotency-Key`: the reply is stored and given again.
//!
//! A record is `in flight` from the moment the request is taken until its reply is stored. Its
//! flight is bounded: a worker that dies does not wedge the key, since another may take the record
//! over once the flight's time is up. Times are compared; the table's TTL only cleans up.

use std::time::Duration;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use kernel::digest::sha256_hex;
use kernel::{OrgId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::commit::key_item;
use crate::keys;
use crate::record::{Item, ShapeError};
use crate::{ReadError, Store};

/// How long a stored reply is given again.
pub const REPLY_LIFETIME: Duration = Duration::from_hours(24);
/// How long a request may be in flight before another may take its key over: longer than the
/// longest time limit of an API function.
pub const FLIGHT_LIFETIME: Duration = Duration::from_secs(60);
/// The largest reply that is stored.
pub const MAX_REPLY_BYTES: usize = 256 * 1024;

/// A reply as it is given again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredReply {
    pub status: u16,
    pub content_type: Option<String>,
    pub location: Option<String>,
    pub etag: Option<String>,
    pub body: String,
    /// The organization that the request acted in, if it acted in one: whoever no longer belongs
    /// there does not get the reply again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub org: Option<OrgId>,
}

/// What became of taking a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// The request is the first: carry it out, then store the reply with this flight's number.
    First(Flight),
    /// It was carried out before.
    Again(StoredReply),
    /// It is being carried out at this moment.
    InFlight,
    /// The key was used for another request.
    DifferentRequest,
}

/// The right to store the reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flight {
    key: keys::Key,
    started_at: Timestamp,
    nonce: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct IdempotencyRecord {
    request: String,
    started_at: i64,
    nonce: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    reply: Option<StoredReply>,
    /// Epoch seconds; the table's TTL attribute.
    expires_at: i64,
}

impl Store {
    /// Takes an idempotency key. `scope` names the caller and the operation, so that keys of two
    /// callers never meet; `request` is what must be the same each time (method, path and body).
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer; the request is not carried out then.
    pub async fn take_idempotency_key(
        &self,
        scope: &str,
        idempotency_key: &str,
        request: &[u8],
    ) -> Result<Taken, ReadError> {
        let now = self.now();
        let key = keys::idempotency(scope, &sha256_hex(idempotency_key.as_bytes()));
        let nonce = u64::from(rand::random::<u32>());
        let record = IdempotencyRecord {
            request: sha256_hex(request),
            started_at: now.as_millis(),
            nonce,
            reply: None,
            expires_at: now.plus(REPLY_LIFETIME).as_seconds(),
        };
        let mut item: Item = to_item(&record)?;
        item.extend(key_item(&key));
        let stale = now.minus(FLIGHT_LIFETIME).as_millis();
        let number = |value: i64| AttributeValue::N(value.to_string());
        let result = self
            .clients
            .dynamo
            .put_item()
            .table_name(self.config.table(key.table))
            .set_item(Some(item))
            .condition_expression(
                "attribute_not_exists(pk) OR expires_at <= :now \
                 OR (attribute_not_exists(reply) AND started_at <= :stale AND #request = :request)",
            )
            // A reserved word of DynamoDB.
            .expression_attribute_names("#request", "request")
            .expression_attribute_values(":now", number(now.as_seconds()))
            .expression_attribute_values(":stale", number(stale))
            .expression_attribute_values(":request", AttributeValue::S(record.request.clone()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match result {
            Ok(_) => {
                return Ok(Taken::First(Flight {
                    key,
                    started_at: now,
                    nonce,
                }));
            }
            Err(error) => error,
        };
        let refused = error.as_service_error().and_then(|service| {
            match service {
            aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(
                refused,
            ) => Some(refused.item.clone()),
            _ => None,
        }
        });
        let Some(old) = refused else {
            return Err(ReadError::sdk(error));
        };
        let old = match old {
            Some(item) => Some(item),
            None => self.get_item(&key).await?,
        };
        // The record may have been cleaned up between the two calls: the client asks again.
        let Some(old) = old else {
            return Ok(Taken::InFlight);
        };
        let old: IdempotencyRecord = from_item(old)?;
        // The answer to our own write was lost, and the SDK asked again.
        if old.nonce == nonce && old.started_at == now.as_millis() {
            return Ok(Taken::First(Flight {
                key,
                started_at: now,
                nonce,
            }));
        }
        if old.request != record.request {
            return Ok(Taken::DifferentRequest);
        }
        Ok(old.reply.map_or(Taken::InFlight, Taken::Again))
    }

    /// Stores the reply of a request that was carried out. If its flight was taken over meanwhile,
    /// the other's reply stands.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer.
    pub async fn store_idempotent_reply(
        &self,
        flight: &Flight,
        reply: &StoredReply,
    ) -> Result<(), ReadError> {
        let value = serde_dynamo::to_attribute_value(reply)
            .map_err(|source| ReadError::Unavailable(source.to_string()))?;
        let result = self
            .clients
            .dynamo
            .update_item()
            .table_name(self.config.table(flight.key.table))
            .set_key(Some(key_item(&flight.key)))
            .update_expression("SET reply = :reply")
            .condition_expression("nonce = :nonce AND started_at = :started")
            .expression_attribute_values(":reply", value)
            .expression_attribute_values(":nonce", AttributeValue::N(flight.nonce.to_string()))
            .expression_attribute_values(
                ":started",
                AttributeValue::N(flight.started_at.as_millis().to_string()),
            )
            .send()
            .await;
        match result {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(()),
            Err(error) => Err(ReadError::sdk(error)),
        }
    }

    /// Gives the key back after a request that changed nothing, so that it can be tried again at
    /// once.
    ///
    /// # Errors
    /// [`ReadError`] if the store does not answer; the key comes free with its flight's time.
    pub async fn release_idempotency_key(&self, flight: &Flight) -> Result<(), ReadError> {
        let result = self
            .clients
            .dynamo
            .delete_item()
            .table_name(self.config.table(flight.key.table))
            .set_key(Some(key_item(&flight.key)))
            .condition_expression("nonce = :nonce AND attribute_not_exists(reply)")
            .expression_attribute_values(":nonce", AttributeValue::N(flight.nonce.to_string()))
            .send()
            .await;
        match result {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(()),
            Err(error) => Err(ReadError::sdk(error)),
        }
    }
}

fn to_item(record: &IdempotencyRecord) -> Result<Item, ReadError> {
    serde_dynamo::to_item(record)
        .map_err(|source| ShapeError::new("idempotency record", source).into())
}

fn from_item(item: Item) -> Result<IdempotencyRecord, ReadError> {
    serde_dynamo::from_item(item)
        .map_err(|source| ShapeError::new("idempotency record", source).into())
}
