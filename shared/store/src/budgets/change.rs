//! One change of one account: what a commit does to it, under which condition, and its entries in
//! the ledger. A commit may do several things to an account (settle one call, set credits aside
//! for the next); DynamoDB takes one operation for each item, so they are added up here.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    Update,
};
use domain::budget::{Account, Budget, LedgerCall, LedgerEntry, LedgerEntryKind};
use kernel::{LedgerEntryId, MicroCredits, OrgId, Timestamp};

use crate::commit::{built, key_item};
use crate::keys;
use crate::record::{Item, Record};
use crate::{CommitError, StoreConfig};

/// What a commit does to an account. Amounts are micro-credits.
#[derive(Debug)]
pub(crate) struct AccountChange {
    org: OrgId,
    account: Account,
    at: Timestamp,
    granted: i64,
    available: i64,
    reserved: i64,
    spent: i64,
    steps: i64,
    /// What must be available, and how many steps must be left, before the change.
    least_available: Option<i64>,
    least_steps: i64,
    /// What must be set aside before the change: less, and what is to be given back is not there.
    least_reserved: i64,
    /// What must not be available.
    short_of: Option<i64>,
    /// What must have been granted before the change.
    seen_granted: Option<i64>,
    /// What must be available, with nothing set aside, for the account to be removed.
    close_at: Option<i64>,
    entries: Vec<LedgerEntry>,
}

/// Why DynamoDB refused a change of an account.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The whole commit is refused.
    With(CommitError),
    /// The account that the change was about was removed: nothing is left to be changed.
    Gone,
}

impl AccountChange {
    pub(crate) fn new(org: OrgId, account: Account, at: Timestamp) -> Self {
        Self {
            org,
            account,
            at,
            granted: 0,
            available: 0,
            reserved: 0,
            spent: 0,
            steps: 0,
            least_available: None,
            least_steps: 0,
            least_reserved: 0,
            short_of: None,
            seen_granted: None,
            close_at: None,
            entries: Vec::new(),
        }
    }

    pub(crate) fn account(&self) -> Account {
        self.account
    }

    /// Whether there is nothing to be written and nothing to be asked.
    pub(crate) fn is_empty(&self) -> bool {
        !self.writes() && self.short_of.is_none() && self.least_steps == 0
    }

    pub(crate) fn entries(&self) -> &[LedgerEntry] {
        &self.entries
    }

    /// Sets `amount` aside.
    pub(crate) fn reserve(&mut self, amount: MicroCredits, call: &LedgerCall) {
        let micros = amount.as_micros();
        let needed = micros.saturating_sub(self.available);
        self.least_available = Some(
            self.least_available
                .map_or(needed, |least| least.max(needed)),
        );
        self.available = self.available.saturating_sub(micros);
        self.reserved = self.reserved.saturating_add(micros);
        self.note(LedgerEntryKind::Reserve, -micros, 0, Some(call));
    }

    /// Takes one step.
    pub(crate) fn take_step(&mut self) {
        self.least_steps += 1;
        self.steps -= 1;
    }

    /// Gives `reserved` back and takes what the call cost.
    pub(crate) fn settle(&mut self, reserved: MicroCredits, cost: MicroCredits, call: &LedgerCall) {
        let (reserved, cost) = (reserved.as_micros(), cost.as_micros());
        self.give_back(reserved);
        self.spend(cost);
        self.note(LedgerEntryKind::Settle, reserved - cost, cost, Some(call));
    }

    /// Gives `reserved` back.
    pub(crate) fn release(&mut self, reserved: MicroCredits, call: &LedgerCall) {
        let reserved = reserved.as_micros();
        self.give_back(reserved);
        self.note(LedgerEntryKind::Release, reserved, 0, Some(call));
    }

    /// Takes what a call cost for which nothing is set aside.
    pub(crate) fn charge(&mut self, cost: MicroCredits, call: &LedgerCall) {
        let cost = cost.as_micros();
        self.spend(cost);
        self.note(LedgerEntryKind::Charge, -cost, cost, Some(call));
    }

    /// Grants `granted` in all, if what is granted is still what was `seen`.
    pub(crate) fn grant(&mut self, seen: &Budget, granted: MicroCredits) {
        let difference = granted.as_micros().saturating_sub(seen.granted.as_micros());
        self.seen_granted = Some(seen.granted.as_micros());
        self.granted = difference;
        self.available = difference;
        self.note(LedgerEntryKind::Grant, difference, 0, None);
    }

    /// Removes the account, if nothing is set aside and what is available is still what was `seen`.
    pub(crate) fn close(&mut self, seen: &Budget) {
        let left = seen.available.as_micros();
        self.close_at = Some(left);
        self.note(LedgerEntryKind::Close, left.saturating_neg(), 0, None);
    }

    /// Refuses the commit if `amount` could be set aside.
    pub(crate) fn while_short_of(&mut self, amount: MicroCredits) {
        self.short_of = Some(amount.as_micros().saturating_sub(self.available));
    }

    fn give_back(&mut self, reserved: i64) {
        self.least_reserved = self.least_reserved.max(reserved - self.reserved);
        self.available = self.available.saturating_add(reserved);
        self.reserved = self.reserved.saturating_sub(reserved);
    }

    fn spend(&mut self, cost: i64) {
        self.available = self.available.saturating_sub(cost);
        self.spent = self.spent.saturating_add(cost);
    }

    fn note(&mut self, kind: LedgerEntryKind, amount: i64, spent: i64, call: Option<&LedgerCall>) {
        if amount != 0 || spent != 0 {
            self.entries.push(LedgerEntry {
                id: LedgerEntryId::generate(self.at),
                org: self.org,
                account: self.account,
                kind,
                amount: MicroCredits::new(amount),
                spent: MicroCredits::new(spent),
                call: call.cloned(),
                at: self.at,
            });
        }
    }

    /// Whether it is of no use without the account: not so for what comes back from a call, which
    /// ends with the account that it came from.
    fn needs_account(&self) -> bool {
        self.least_available.is_some()
            || self.least_steps > 0
            || self.short_of.is_some()
            || self.seen_granted.is_some()
            || self.close_at.is_some()
    }

    fn writes(&self) -> bool {
        let deltas = [self.granted, self.reserved, self.spent, self.steps];
        self.close_at.is_some()
            || self.seen_granted.is_some()
            || !self.entries.is_empty()
            || deltas.iter().any(|delta| *delta != 0)
    }

    /// What it means that DynamoDB refused, by the row that it found.
    pub(crate) fn refused(&self, found: Option<&Item>) -> Refused {
        let changed = || CommitError::Changed { noun: Budget::NOUN };
        let Some(row) = found.filter(|row| !row.is_empty()) else {
            return if self.needs_account() {
                Refused::With(changed())
            } else {
                Refused::Gone
            };
        };
        // An account of the same name that was made since: what is given back was not set aside
        // here.
        if number(row, "reserved") < self.least_reserved && !self.needs_account() {
            return Refused::Gone;
        }
        let is_reservation = self.least_available.is_some() || self.least_steps > 0;
        if is_reservation && number(row, "reserved") >= self.least_reserved {
            return Refused::With(CommitError::OverBudget {
                account: self.account,
            });
        }
        Refused::With(changed())
    }

    /// The operation that makes the change.
    pub(crate) fn request(&self, config: &StoreConfig) -> TransactWriteItem {
        let key = keys::budget(self.org, &self.account);
        let table = config.table(key.table);
        let mut expression = Expression::default();
        let condition = self.condition(&mut expression);
        let builder = TransactWriteItem::builder();
        // What was found tells an account that does not suffice from one that is gone.
        let found = ReturnValuesOnConditionCheckFailure::AllOld;
        if self.close_at.is_some() {
            let delete = Delete::builder()
                .table_name(table)
                .set_key(Some(key_item(&key)))
                .condition_expression(condition)
                .set_expression_attribute_names(expression.names())
                .set_expression_attribute_values(expression.values())
                .return_values_on_condition_check_failure(found);
            return builder.delete(built(delete.build())).build();
        }
        if !self.writes() {
            let check = ConditionCheck::builder()
                .table_name(table)
                .set_key(Some(key_item(&key)))
                .condition_expression(condition)
                .set_expression_attribute_names(expression.names())
                .set_expression_attribute_values(expression.values())
                .return_values_on_condition_check_failure(found);
            return builder.condition_check(built(check.build())).build();
        }
        let update = self.update(&mut expression);
        let update = Update::builder()
            .table_name(table)
            .set_key(Some(key_item(&key)))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(expression.names())
            .set_expression_attribute_values(expression.values())
            .return_values_on_condition_check_failure(found);
        builder.update(built(update.build())).build()
    }

    fn condition(&self, expression: &mut Expression) -> String {
        let mut conditions = vec!["attribute_exists(pk)".to_owned()];
        if let Some(least) = self.least_available {
            conditions.push(format!(
                "({} >= {} OR attribute_exists({}))",
                expression.name("available"),
                expression.number(least),
                expression.name("credits_unlimited"),
            ));
        }
        if self.least_steps > 0 {
            conditions.push(format!(
                "{} >= {}",
                expression.name("steps_left"),
                expression.number(self.least_steps),
            ));
        }
        if self.least_reserved > 0 {
            conditions.push(format!(
                "{} >= {}",
                expression.name("reserved"),
                expression.number(self.least_reserved),
            ));
        }
        if let Some(short_of) = self.short_of {
            conditions.push(format!(
                "(({} < {} AND attribute_not_exists({})) OR {} < {})",
                expression.name("available"),
                expression.number(short_of),
                expression.name("credits_unlimited"),
                expression.name("steps_left"),
                expression.number(1),
            ));
        }
        if let Some(seen) = self.seen_granted {
            conditions.push(format!(
                "{} = {}",
                expression.name("granted"),
                expression.number(seen),
            ));
        }
        if let Some(left) = self.close_at {
            conditions.push(format!(
                "{} = {} AND {} = {}",
                expression.name("available"),
                expression.number(left),
                expression.name("reserved"),
                expression.number(0),
            ));
        }
        conditions.join(" AND ")
    }

    fn update(&self, expression: &mut Expression) -> String {
        let now = expression.value(AttributeValue::S(self.at.to_string()));
        let mut update = format!("SET {} = {now}", expression.name("updated_at"));
        let deltas = [
            ("granted", self.granted),
            ("available", self.available),
            ("reserved", self.reserved),
            ("spent", self.spent),
            ("steps_left", self.steps),
            ("version", 1),
        ];
        let added: Vec<String> = deltas
            .into_iter()
            .filter(|(_, delta)| *delta != 0)
            .map(|(attribute, delta)| {
                format!(
                    "{} {}",
                    expression.name(attribute),
                    expression.number(delta)
                )
            })
            .collect();
        update.push_str(&format!(" ADD {}", added.join(", ")));
        if self.seen_granted.is_some() {
            update.push_str(&format!(" REMOVE {}", expression.name("credits_unlimited")));
        }
        update
    }
}

fn number(row: &Item, attribute: &str) -> i64 {
    row.get(attribute)
        .and_then(|value| value.as_n().ok())
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

/// Names and values of an expression. Every name is given by placeholder: some are reserved words.
#[derive(Default)]
struct Expression {
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Expression {
    fn name(&mut self, attribute: &str) -> String {
        let placeholder = format!("#{attribute}");
        self.names.insert(placeholder.clone(), attribute.to_owned());
        placeholder
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    fn number(&mut self, number: i64) -> String {
        self.value(AttributeValue::N(number.to_string()))
    }

    /// DynamoDB takes no empty map.
    fn names(&self) -> Option<HashMap<String, String>> {
        (!self.names.is_empty()).then(|| self.names.clone())
    }

    fn values(&self) -> Option<HashMap<String, AttributeValue>> {
        (!self.values.is_empty()).then(|| self.values.clone())
    }
}
