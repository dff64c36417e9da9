//! One transaction says what happened: state, events and jobs are written together or not at all.

use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, ConditionCheck, Delete, Put, TransactWriteItem, Update,
};
use domain::budget::Account;
use domain::event::Event;
use kernel::{RequestId, Timestamp};
use work::{Doorbell, Fence, Job, NewJob};

use crate::budgets::{AccountChange, Refused};
use crate::executions::news::Changed;
use crate::keys::{self, Key};
use crate::record::{Item, Record, ShapeError, to_item};
use crate::{Store, Tenant, explain};

/// The most items one transaction may touch.
pub const MAX_ITEMS: usize = 100;
/// The most bytes one transaction may write.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// The most bytes one item may have.
pub const MAX_ITEM_BYTES: usize = 400 * 1024;

const CONFLICT_RETRIES: u32 = 6;
/// A budget is one row that all of its runs write, so a commit with an account in it has more
/// patience: hundreds at once come through within seconds.
const ACCOUNT_RETRIES: u32 = 60;
const MAX_ACCOUNT_DELAY_MS: u64 = 1_000;

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Something that was to be created is there already.
    #[error("this {noun} exists already")]
    Exists { noun: &'static str },
    /// Something was changed or deleted by someone else since it was read.
    #[error("this {noun} was changed meanwhile")]
    Changed { noun: &'static str },
    /// The attempt that writes no longer holds its job.
    #[error("the job was taken over by another worker")]
    FenceLost,
    /// An account does not have what was to be set aside. Nothing was written.
    #[error("the budget of the {} does not suffice", account.kind())]
    OverBudget { account: Account },
    /// The transaction is above what DynamoDB takes.
    #[error("a change of {items} items and {bytes} bytes is too large for one transaction")]
    TooLarge { items: usize, bytes: usize },
    /// One item is above what DynamoDB takes.
    #[error("a {noun} of {bytes} bytes is too large to be stored")]
    ItemTooLarge { noun: &'static str, bytes: usize },
    /// An entity could not become an item.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// DynamoDB cannot hold this: a number with too many digits, values nested too deeply. Trying
    /// again does not help.
    #[error("this cannot be stored: {0}")]
    Unstorable(String),
    /// DynamoDB did not take the transaction. Whether it was applied is unknown if the reply was
    /// lost; the SDK repeats such a request under one token, so that it is applied once.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<SdkError<TransactWriteItemsError>>),
}

/// What refusal of one item means.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    Exists(&'static str),
    Changed(&'static str),
    FenceLost,
    /// By what was found; see [`AccountChange::refused`].
    Account(Account),
    /// As its account.
    LedgerEntry(Account),
    /// The item has no condition.
    Never,
}

impl Refusal {
    fn error(self) -> Option<CommitError> {
        match self {
            Self::Exists(noun) => Some(CommitError::Exists { noun }),
            Self::Changed(noun) => Some(CommitError::Changed { noun }),
            Self::FenceLost => Some(CommitError::FenceLost),
            Self::LedgerEntry(_) => Some(CommitError::Exists {
                noun: "ledger entry",
            }),
            Self::Account(_) | Self::Never => None,
        }
    }

    fn account(self) -> Option<Account> {
        match self {
            Self::Account(account) | Self::LedgerEntry(account) => Some(account),
            _ => None,
        }
    }
}

/// A change in the making. Build it up, then hand it to [`Store::commit`].
#[derive(Debug)]
#[must_use = "a change does nothing until it is committed"]
pub struct Commit {
    tenant: Tenant,
    items: Vec<(Op, Refusal)>,
    accounts: Vec<AccountChange>,
    jobs: Vec<NewJob>,
    doorbells: Vec<(Doorbell, Duration)>,
    news: Vec<Changed>,
    bytes: usize,
    error: Option<CommitError>,
}

#[derive(Debug)]
enum Op {
    Put {
        key: Key,
        item: Item,
        condition: Option<Condition>,
    },
    Delete {
        key: Key,
        condition: Option<Condition>,
    },
    Check {
        key: Key,
        condition: Condition,
    },
    Add {
        key: Key,
        /// Numbers are added to counters, sets to sets.
        add: Vec<(String, AttributeValue)>,
        set: Vec<(&'static str, AttributeValue)>,
    },
    Account(Box<AccountChange>),
}

#[derive(Debug, Clone, Copy)]
enum Condition {
    Absent,
    Present,
    Version(u64),
    Holds(Fence),
}

impl Commit {
    /// An empty change in the org of `tenant`.
    pub fn new(tenant: Tenant) -> Self {
        Self {
            tenant,
            items: Vec::new(),
            accounts: Vec::new(),
            jobs: Vec::new(),
            doorbells: Vec::new(),
            news: Vec::new(),
            bytes: 0,
            error: None,
        }
    }

    /// The org in which the change happens.
    #[must_use]
    pub fn tenant(&self) -> Tenant {
        self.tenant
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
            && self.accounts.is_empty()
            && self.jobs.is_empty()
            && self.error.is_none()
    }

    /// Writes a new entity; refused as [`CommitError::Exists`] if it is there already.
    pub fn create<R: Record>(self, record: &R) -> Self {
        self.put_with(record, Some(Condition::Absent), Refusal::Exists(R::NOUN))
    }

    /// Writes an entity over the one with version `expected`; refused as
    /// [`CommitError::Changed`] if that is no longer the version, or the entity is gone.
    pub fn replace<R: Record>(self, record: &R, expected: u64) -> Self {
        self.put_with(
            record,
            Some(Condition::Version(expected)),
            Refusal::Changed(R::NOUN),
        )
    }

    /// Writes an entity whatever was there.
    pub fn put<R: Record>(self, record: &R) -> Self {
        self.put_with(record, None, Refusal::Never)
    }

    /// Deletes an entity if its version is `expected`.
    pub fn delete<R: Record>(mut self, record: &R, expected: u64) -> Self {
        let op = Op::Delete {
            key: record.key(),
            condition: Some(Condition::Version(expected)),
        };
        self.items.push((op, Refusal::Changed(R::NOUN)));
        self
    }

    /// Deletes an entity that has no version, if it is there.
    pub fn delete_existing<R: Record>(mut self, record: &R) -> Self {
        let op = Op::Delete {
            key: record.key(),
            condition: Some(Condition::Present),
        };
        self.items.push((op, Refusal::Changed(R::NOUN)));
        self
    }

    /// Refuses the whole change unless the entity is there with version `expected`.
    pub fn unless_changed<R: Record>(mut self, record: &R, expected: u64) -> Self {
        let op = Op::Check {
            key: record.key(),
            condition: Condition::Version(expected),
        };
        self.items.push((op, Refusal::Changed(R::NOUN)));
        self
    }

    /// Refuses the whole change unless this attempt still holds its job.
    pub fn fenced_by(mut self, fence: Fence) -> Self {
        let op = Op::Check {
            key: keys::job(fence.org, fence.job),
            condition: Condition::Holds(fence),
        };
        self.items.push((op, Refusal::FenceLost));
        self
    }

    /// Takes a unique name or marks something as done: refused as [`CommitError::Exists`] if
    /// another has done so before.
    pub(crate) fn claim(mut self, key: Key, noun: &'static str) -> Self {
        let item = key_item(&key);
        self.items.push((
            Op::Put {
                key,
                item,
                condition: Some(Condition::Absent),
            },
            Refusal::Exists(noun),
        ));
        self
    }

    /// Deletes a row that has no version, whether it is there or not, such as a unique name that is
    /// given back.
    pub(crate) fn discard(mut self, key: Key) -> Self {
        self.items.push((
            Op::Delete {
                key,
                condition: None,
            },
            Refusal::Never,
        ));
        self
    }

    /// Adds to a counter, which begins at 0, and sets attributes beside it.
    pub(crate) fn add(
        self,
        key: Key,
        attribute: &'static str,
        amount: i64,
        set: Vec<(&'static str, AttributeValue)>,
    ) -> Self {
        let amount = AttributeValue::N(amount.to_string());
        self.add_all(key, vec![(attribute.to_owned(), amount)], set)
    }

    /// Adds to several attributes of a row, of which there is at least one: numbers to counters,
    /// which begin at 0, and sets to sets. Sets other attributes beside them.
    pub(crate) fn add_all(
        mut self,
        key: Key,
        add: Vec<(String, AttributeValue)>,
        set: Vec<(&'static str, AttributeValue)>,
    ) -> Self {
        self.items.push((Op::Add { key, add, set }, Refusal::Never));
        self
    }

    /// Tells that something happened.
    pub fn event(self, event: Event) -> Self {
        self.put_with(&event, Some(Condition::Absent), Refusal::Exists("event"))
    }

    /// Has something done: the job is rung once the change is committed.
    pub fn job(mut self, job: NewJob) -> Self {
        self.jobs.push(job);
        self
    }

    /// Moves a job to the state that the engine's protocol gave, from the version that was read, and
    /// rings for it if it is due soon. Refused as [`CommitError::Changed`] if the job went on
    /// meanwhile.
    pub fn move_job(mut self, next: &Job, expected: u64) -> Self {
        if let Some(delay) = next.ring_delay(next.updated_at) {
            self.doorbells.push((next.doorbell(), delay));
        }
        self.replace(next, expected)
    }

    /// Tells those in this process who wait for an execution, once the change is committed.
    pub(crate) fn news(mut self, changed: Changed) -> Self {
        self.news.push(changed);
        self
    }

    /// What the change does to an account, to be added to.
    pub(crate) fn account(&mut self, account: Account, now: Timestamp) -> &mut AccountChange {
        let known = self.accounts.iter().position(|c| c.account() == account);
        let index = known.unwrap_or_else(|| {
            let org = self.tenant.org();
            self.accounts.push(AccountChange::new(org, account, now));
            self.accounts.len() - 1
        });
        &mut self.accounts[index]
    }

    /// The same change, which is refused for this reason whatever else there is.
    pub(crate) fn refuse(mut self, error: CommitError) -> Self {
        self.error.get_or_insert(error);
        self
    }

    fn put_with<R: Record>(
        mut self,
        record: &R,
        condition: Option<Condition>,
        refusal: Refusal,
    ) -> Self {
        match to_item(record) {
            Ok(item) => {
                let bytes = item_bytes(&item);
                if bytes > MAX_ITEM_BYTES {
                    self.error.get_or_insert(CommitError::ItemTooLarge {
                        noun: R::NOUN,
                        bytes,
                    });
                }
                self.bytes += bytes;
                self.items.push((
                    Op::Put {
                        key: record.key(),
                        item,
                        condition,
                    },
                    refusal,
                ));
            }
            Err(error) => {
                self.error.get_or_insert(error.into());
            }
        }
        self
    }

    /// Accounts come last, so that any other refusal is told before theirs.
    fn place_accounts(mut self) -> Self {
        for change in std::mem::take(&mut self.accounts) {
            if change.is_empty() {
                continue;
            }
            let account = change.account();
            for entry in change.entries() {
                let refusal = Refusal::LedgerEntry(account);
                self = self.put_with(entry, Some(Condition::Absent), refusal);
            }
            let op = Op::Account(Box::new(change));
            self.items.push((op, Refusal::Account(account)));
        }
        self
    }

    fn place_jobs(mut self, store: &Store) -> Self {
        for job in std::mem::take(&mut self.jobs) {
            let now = store.now();
            let job: Job = job.build(now);
            if let Some(delay) = job.ring_delay(now) {
                self.doorbells.push((job.doorbell(), delay));
            }
            self = self.put_with(&job, Some(Condition::Absent), Refusal::Exists("job"));
        }
        self
    }
}

impl Store {
    /// Writes the change, whole or not at all, then rings for its jobs. A ring that fails is
    /// logged and left to the sweeper: the job is safe.
    ///
    /// # Errors
    /// Says which condition refused the change, or why DynamoDB did not take it.
    pub async fn commit(&self, commit: Commit) -> Result<(), CommitError> {
        let commit = commit.place_jobs(self).place_accounts();
        if let Some(error) = commit.error {
            return Err(error);
        }
        if commit.items.len() > MAX_ITEMS || commit.bytes > MAX_BYTES {
            return Err(CommitError::TooLarge {
                items: commit.items.len(),
                bytes: commit.bytes,
            });
        }
        // Boxed: the SDK's futures are deep and large, and every handler would carry their layout.
        Box::pin(self.transact(&commit.items)).await?;
        for changed in commit.news {
            self.newsroom.tell(changed);
        }
        self.ring_all(&commit.doorbells).await;
        Ok(())
    }

    async fn transact(&self, items: &[(Op, Refusal)]) -> Result<(), CommitError> {
        let mut items: Vec<&(Op, Refusal)> = items.iter().collect();
        let has_accounts = items.iter().any(|(_, refusal)| refusal.account().is_some());
        let retries = if has_accounts {
            ACCOUNT_RETRIES
        } else {
            CONFLICT_RETRIES
        };
        let mut attempt = 0;
        let mut token = self.transaction_token();
        while !items.is_empty() {
            let requests = items.iter().map(|(op, _)| self.request(op)).collect();
            let result = self
                .clients
                .dynamo
                .transact_write_items()
                .set_transact_items(Some(requests))
                .client_request_token(&token)
                .send()
                .await;
            let Err(error) = result else { return Ok(()) };
            let reasons = cancellation_reasons(&error);
            let gone = accounts_gone(reasons, &items)?;
            if !gone.is_empty() {
                // Nothing was written, and what is left is another transaction.
                tracing::warn!(?gone, "an account was removed before its call ended");
                items.retain(|(_, refusal)| {
                    refusal
                        .account()
                        .is_none_or(|account| !gone.contains(&account))
                });
                token = self.transaction_token();
                continue;
            }
            if is_unstorable(&error, reasons) {
                return Err(CommitError::Unstorable(explain(&error)));
            }
            // Asked again under the same token: a request of ours that is still being carried out, or
            // was, though its reply got lost before this conflict, is not carried out twice.
            let in_progress = code(&error) == Some("TransactionInProgressException");
            let conflicted = reasons.iter().any(|reason| {
                matches!(
                    reason.code(),
                    Some(
                        "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded"
                    )
                )
            });
            if !(conflicted || in_progress) || attempt == retries {
                return Err(CommitError::Unavailable(Box::new(error)));
            }
            attempt += 1;
            let delay = if has_accounts {
                account_delay(attempt)
            } else {
                conflict_delay(attempt)
            };
            tokio::time::sleep(delay).await;
        }
        Ok(())
    }

    fn transaction_token(&self) -> String {
        RequestId::generate(self.now()).to_string()
    }

    async fn ring_all(&self, doorbells: &[(Doorbell, Duration)]) {
        for (doorbell, delay) in doorbells {
            if let Err(error) = self.bell.ring(doorbell, *delay).await {
                tracing::warn!(job = %doorbell.job, %error, "a job could not be rung; the sweeper will");
            }
        }
    }

    fn request(&self, op: &Op) -> TransactWriteItem {
        let table = |key: &Key| self.config.table(key.table).to_owned();
        let builder = TransactWriteItem::builder();
        match op {
            Op::Account(change) => change.request(&self.config),
            Op::Put {
                key,
                item,
                condition,
            } => {
                let put = Put::builder()
                    .table_name(table(key))
                    .set_item(Some(item.clone()));
                let put = match condition {
                    None => put,
                    Some(condition) => {
                        let (expression, names, values) = condition.expression();
                        put.condition_expression(expression)
                            .set_expression_attribute_names(names)
                            .set_expression_attribute_values(values)
                    }
                };
                builder.put(built(put.build())).build()
            }
            Op::Delete { key, condition } => {
                let delete = Delete::builder()
                    .table_name(table(key))
                    .set_key(Some(key_item(key)));
                let delete = match condition {
                    None => delete,
                    Some(condition) => {
                        let (expression, names, values) = condition.expression();
                        delete
                            .condition_expression(expression)
                            .set_expression_attribute_names(names)
                            .set_expression_attribute_values(values)
                    }
                };
                builder.delete(built(delete.build())).build()
            }
            Op::Check { key, condition } => {
                let (expression, names, values) = condition.expression();
                let check = ConditionCheck::builder()
                    .table_name(table(key))
                    .set_key(Some(key_item(key)))
                    .condition_expression(expression)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values);
                builder.condition_check(built(check.build())).build()
            }
            Op::Add { key, add, set } => {
                let mut update = Update::builder()
                    .table_name(table(key))
                    .set_key(Some(key_item(key)));
                let mut expression = String::new();
                for (index, (name, value)) in add.iter().enumerate() {
                    expression.push_str(if index == 0 { "ADD " } else { ", " });
                    expression.push_str(&format!("#add{index} :add{index}"));
                    update = update
                        .expression_attribute_names(format!("#add{index}"), name)
                        .expression_attribute_values(format!(":add{index}"), value.clone());
                }
                for (index, (name, value)) in set.iter().enumerate() {
                    expression.push_str(if index == 0 { " SET " } else { ", " });
                    expression.push_str(&format!("#set{index} = :set{index}"));
                    update = update
                        .expression_attribute_names(format!("#set{index}"), *name)
                        .expression_attribute_values(format!(":set{index}"), value.clone());
                }
                builder
                    .update(built(update.update_expression(expression).build()))
                    .build()
            }
        }
    }
}

/// Builders fail only where a required field was forgotten, and none is.
pub(crate) fn built<T>(result: Result<T, aws_sdk_dynamodb::error::BuildError>) -> T {
    result.unwrap_or_else(|error| unreachable!("every required field is set: {error}"))
}

type Names = Option<std::collections::HashMap<String, String>>;
type Values = Option<std::collections::HashMap<String, AttributeValue>>;

impl Condition {
    fn expression(self) -> (&'static str, Names, Values) {
        let number = |value: u64| AttributeValue::N(value.to_string());
        match self {
            Self::Absent => ("attribute_not_exists(pk)", None, None),
            Self::Present => ("attribute_exists(pk)", None, None),
            // What was stored before it had versions.
            Self::Version(0) => (
                "attribute_exists(pk) AND attribute_not_exists(#version)",
                Some([("#version".to_owned(), "version".to_owned())].into()),
                None,
            ),
            Self::Version(version) => (
                "#version = :version",
                Some([("#version".to_owned(), "version".to_owned())].into()),
                Some([(":version".to_owned(), number(version))].into()),
            ),
            Self::Holds(fence) => (
                "#fence = :fence AND #state = :leased",
                Some(
                    [
                        ("#fence".to_owned(), "fence".to_owned()),
                        ("#state".to_owned(), "state".to_owned()),
                    ]
                    .into(),
                ),
                Some(
                    [
                        (":fence".to_owned(), number(fence.number)),
                        (":leased".to_owned(), AttributeValue::S("leased".to_owned())),
                    ]
                    .into(),
                ),
            ),
        }
    }
}

pub(crate) fn key_item(key: &Key) -> Item {
    [
        ("pk".to_owned(), AttributeValue::S(key.pk.clone())),
        ("sk".to_owned(), AttributeValue::S(key.sk.clone())),
    ]
    .into()
}

fn cancellation_reasons(error: &SdkError<TransactWriteItemsError>) -> &[CancellationReason] {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            cancelled.cancellation_reasons()
        }
        _ => &[],
    }
}

/// The accounts whose part of a refused transaction has become pointless, or why it was refused.
fn accounts_gone(
    reasons: &[CancellationReason],
    items: &[&(Op, Refusal)],
) -> Result<Vec<Account>, CommitError> {
    let mut gone = Vec::new();
    for (reason, (op, refusal)) in reasons.iter().zip(items) {
        if reason.code() != Some("ConditionalCheckFailed") {
            continue;
        }
        if let Op::Account(change) = op {
            match change.refused(reason.item()) {
                Refused::With(error) => return Err(error),
                Refused::Gone => gone.push(change.account()),
            }
        } else if let Some(error) = refusal.error() {
            return Err(error);
        }
    }
    Ok(gone)
}

fn code(error: &SdkError<TransactWriteItemsError>) -> Option<&str> {
    error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
}

fn is_unstorable(
    error: &SdkError<TransactWriteItemsError>,
    reasons: &[CancellationReason],
) -> bool {
    code(error) == Some("ValidationException")
        || reasons
            .iter()
            .any(|reason| reason.code() == Some("ValidationError"))
}

pub(crate) fn conflict_delay(attempt: u32) -> Duration {
    let ceiling = 20u64 << attempt;
    Duration::from_millis(rand::random_range(ceiling / 2..=ceiling))
}

/// Full jitter: hundreds who wait for one row must not come back together.
fn account_delay(attempt: u32) -> Duration {
    let ceiling = (20u64 << attempt.min(10)).min(MAX_ACCOUNT_DELAY_MS);
    Duration::from_millis(rand::random_range(0..=ceiling))
}

/// The size of an item as DynamoDB counts it, approximately: names and values in bytes.
pub(crate) fn item_bytes(item: &Item) -> usize {
    item.iter()
        .map(|(name, value)| name.len() + value_bytes(value))
        .sum()
}

fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        AttributeValue::B(blob) => blob.as_ref().len(),
        AttributeValue::L(list) => 3 + list.iter().map(|item| 1 + value_bytes(item)).sum::<usize>(),
        AttributeValue::M(map) => 3 + map.len() + item_bytes(map),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::Ns(numbers) => numbers.iter().map(|n| n.len().div_ceil(2) + 1).sum(),
        AttributeValue::Bs(blobs) => blobs.iter().map(|blob| blob.as_ref().len()).sum(),
        _ => 1,
    }
}
