//! What stands in the requests of DynamoDB, as far as it matters here. Rows are known by their
//! attributes, not by their keys: how keys are spelled is the store's own affair.

use std::str::FromStr;

use kernel::{ExecutionId, JobId, OrgId};
use serde_json::Value;

use super::Operation;
use crate::history::{About, EffectKey};
use crate::script::Script;

/// A row that a request writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Row {
    /// A call of an execution to the outside: noted, or settled.
    Effect { key: EffectKey, settled: bool },
    /// An execution.
    Execution {
        id: ExecutionId,
        ended: bool,
        /// What is to be known of it, if another has called it.
        born: Option<Born>,
    },
    /// A job.
    Job {
        id: JobId,
        version: u64,
        fence: u64,
        leased: bool,
        ended: bool,
    },
}

/// A run that another has called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Born {
    pub(crate) number: u64,
    pub(crate) org: OrgId,
    pub(crate) job: JobId,
}

/// The rows that a request writes.
pub(crate) fn written(operation: &Operation, request: &Value) -> Vec<Row> {
    if operation.is_transaction() {
        let items = request["TransactItems"].as_array();
        return items
            .into_iter()
            .flatten()
            .filter_map(|item| row(&item["Put"]["Item"]))
            .collect();
    }
    match operation.0.as_str() {
        "PutItem" => row(&request["Item"]).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn row(item: &Value) -> Option<Row> {
    let text = |name: &str| item[name]["S"].as_str();
    let number = |name: &str| item[name]["N"].as_str()?.parse::<u64>().ok();
    let small = |name: &str| number(name).and_then(|number| u32::try_from(number).ok());
    if item["request"].is_object()
        && let (Some(execution), Some(step), Some(call)) =
            (text("execution"), small("step"), small("call"))
    {
        let key = EffectKey {
            execution: execution.parse().ok()?,
            step,
            call,
        };
        let settled = item["outcome"].is_object();
        return Some(Row::Effect { key, settled });
    }
    let (id, state) = (text("id")?, text("state")?);
    if let Some(fence) = number("fence") {
        return Some(Row::Job {
            id: id.parse().ok()?,
            version: number("version")?,
            fence,
            leased: state == "leased",
            ended: matches!(state, "done" | "dead" | "cancelled"),
        });
    }
    number("last_sequence")?;
    let born = || {
        item["parent"]["M"].as_object()?;
        Some(Born {
            number: Script::number_in(text("input")?)?,
            org: text("org")?.parse().ok()?,
            job: text("job")?.parse().ok()?,
        })
    };
    Some(Row::Execution {
        id: id.parse().ok()?,
        born: born(),
        ended: matches!(state, "completed" | "failed" | "cancelled" | "expired"),
    })
}

/// The executions and jobs that a request names, anywhere.
pub(crate) fn about(body: &str) -> About {
    About {
        executions: ids(body, ExecutionId::PREFIX),
        jobs: ids(body, JobId::PREFIX),
    }
}

fn ids<I: FromStr + PartialEq>(body: &str, prefix: &str) -> Vec<I> {
    const DIGITS: usize = 26;
    let mut found = Vec::new();
    for (at, _) in body.match_indices(&format!("{prefix}_")) {
        let id = body
            .get(at..at + prefix.len() + 1 + DIGITS)
            .and_then(|id| id.parse().ok());
        if let Some(id) = id
            && !found.contains(&id)
        {
            found.push(id);
        }
    }
    found
}

/// The job under whose fence a transaction writes: one that it checks, or that it ends.
pub(crate) fn fenced_by(request: &Value) -> Option<JobId> {
    let items = request["TransactItems"].as_array()?;
    let ended = items
        .iter()
        .find_map(|item| match row(&item["Put"]["Item"])? {
            Row::Job {
                id, ended: true, ..
            } => Some(id),
            _ => None,
        });
    let checks = items.iter().map(|item| &item["ConditionCheck"]);
    let mut fences = checks.filter(|check| {
        let values = check["ExpressionAttributeValues"].as_object();
        values.is_some_and(|values| values.contains_key(":fence"))
    });
    let checked = fences.next().map(|check| check["Key"].to_string());
    let checked = checked.and_then(|key| ids(&key, JobId::PREFIX).into_iter().next());
    checked.or(ended)
}

/// A transaction without the jobs of others that it wakes.
pub(crate) fn without_wakes(request: &Value) -> Value {
    let own = fenced_by(request);
    without(
        request,
        |item| matches!(row(&item["Put"]["Item"]), Some(Row::Job { id, .. }) if Some(id) != own),
    )
}

/// A transaction without what it writes to this table.
pub(crate) fn without_table(request: &Value, table: &str) -> Value {
    without(request, |item| {
        let actions = item.as_object().into_iter().flatten();
        let mut tables = actions.map(|(_, action)| &action["TableName"]);
        tables.any(|name| name == table)
    })
}

fn without(request: &Value, left_out: impl Fn(&Value) -> bool) -> Value {
    let mut request = request.clone();
    if let Some(items) = request["TransactItems"].as_array_mut() {
        items.retain(|item| !left_out(item));
    }
    request
}

/// A transaction that puts what it puts whatever stands there. That it is sent under its fence, and
/// what accounts have left, is still a condition.
pub(crate) fn deaf(request: &Value) -> Value {
    let mut request = request.clone();
    let items = request["TransactItems"].as_array_mut();
    for item in items.into_iter().flatten() {
        let Some(put) = item["Put"].as_object_mut() else {
            continue;
        };
        for condition in [
            "ConditionExpression",
            "ExpressionAttributeNames",
            "ExpressionAttributeValues",
        ] {
            put.remove(condition);
        }
    }
    request
}

/// A transaction that is carried out whatever stands in the tables, and as often as it is sent.
pub(crate) fn unconditional(request: &Value) -> Value {
    let mut request = request.clone();
    if let Some(fields) = request.as_object_mut() {
        fields.remove("ClientRequestToken");
    }
    let Some(items) = request["TransactItems"].as_array_mut() else {
        return request;
    };
    items.retain(|item| item.get("ConditionCheck").is_none());
    for action in items.iter_mut().filter_map(Value::as_object_mut) {
        for (kind, fields) in action.iter_mut() {
            let Some(fields) = fields.as_object_mut() else {
                continue;
            };
            fields.remove("ConditionExpression");
            // Names and values that nothing uses are refused; an update still uses its own.
            if kind != "Update" {
                fields.remove("ExpressionAttributeNames");
                fields.remove("ExpressionAttributeValues");
            }
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EXECUTION: ExecutionId = ExecutionId::from_u128(3);
    const JOB: JobId = JobId::from_u128(4);

    fn transaction() -> Value {
        json!({
            "ClientRequestToken": "t",
            "TransactItems": [
                { "ConditionCheck": { "Key": { "pk": { "S": format!("x#{JOB}") } } } },
                { "Put": { "Item": {
                    "execution": { "S": EXECUTION.to_string() }, "step": { "N": "2" },
                    "call": { "N": "1" }, "request": { "M": {} }, "outcome": { "M": {} },
                } } },
                { "Put": { "ConditionExpression": "#version = :version",
                    "ExpressionAttributeNames": {}, "ExpressionAttributeValues": {},
                    "Item": {
                        "id": { "S": EXECUTION.to_string() }, "state": { "S": "completed" },
                        "last_sequence": { "N": "9" },
                    } } },
            ],
        })
    }

    #[test]
    fn rows_are_known_by_their_attributes() {
        let operation = Operation("TransactWriteItems".to_owned());
        let key = EffectKey {
            execution: EXECUTION,
            step: 2,
            call: 1,
        };
        assert_eq!(
            written(&operation, &transaction()),
            [
                Row::Effect { key, settled: true },
                Row::Execution {
                    id: EXECUTION,
                    ended: true,
                    born: None,
                },
            ]
        );
        let put = json!({ "Item": {
            "id": { "S": JOB.to_string() }, "state": { "S": "leased" }, "fence": { "N": "3" },
            "version": { "N": "8" },
        } });
        assert_eq!(
            written(&Operation("PutItem".to_owned()), &put),
            [Row::Job {
                id: JOB,
                version: 8,
                fence: 3,
                leased: true,
                ended: false
            }]
        );
    }

    #[test]
    fn a_request_is_about_the_ids_that_stand_in_it() {
        let about = about(&transaction().to_string());
        assert_eq!(about.executions, [EXECUTION]);
        assert_eq!(about.jobs, [JOB]);
    }

    #[test]
    fn a_run_that_is_called_says_which_one_it_is() {
        let item = json!({
            "id": { "S": EXECUTION.to_string() }, "state": { "S": "queued" },
            "last_sequence": { "N": "0" }, "input": { "S": "Run 12" },
            "org": { "S": OrgId::from_u128(5).to_string() }, "job": { "S": JOB.to_string() },
            "parent": { "M": {} },
        });
        let Some(Row::Execution { born, .. }) = row(&item) else {
            panic!("no execution");
        };
        assert_eq!(born.map(|born| (born.number, born.job)), Some((12, JOB)));
    }

    #[test]
    fn what_a_control_leaves_out_is_left_out() {
        let other = JobId::from_u128(8);
        let job = |id: JobId, state: &str| {
            json!({ "Put": { "TableName": "work", "Item": {
                "id": { "S": id.to_string() }, "state": { "S": state },
                "fence": { "N": "3" }, "version": { "N": "8" },
            } } })
        };
        let fence = json!({ "ConditionCheck": {
            "Key": { "pk": { "S": format!("x#{JOB}") } },
            "ExpressionAttributeValues": { ":fence": { "N": "3" } },
        } });
        let update = json!({ "Update": {
            "TableName": "ledger", "ConditionExpression": "#left >= :amount",
        } });
        let (own, woken) = (job(JOB, "done"), job(other, "ready"));
        let ending = json!({ "TransactItems": [own, woken] });
        assert_eq!(fenced_by(&ending), Some(JOB));
        assert!(
            !without_wakes(&ending)
                .to_string()
                .contains(&other.to_string())
        );
        let request = json!({ "TransactItems": [fence, own, woken, update] });
        assert_eq!(fenced_by(&request), Some(JOB));
        let left = without_wakes(&request).to_string();
        assert!(left.contains(&JOB.to_string()) && !left.contains(&other.to_string()));
        let conditions = deaf(&transaction()).to_string();
        assert!(!conditions.contains("ConditionExpression") && conditions.contains("Token"));
        let conditions = deaf(&request).to_string();
        assert!(conditions.contains(":fence") && conditions.contains(":amount"));
        let left = without_table(&request, "ledger");
        assert_eq!(left["TransactItems"].as_array().map(Vec::len), Some(3));
    }

    #[test]
    fn nothing_is_left_of_conditions() {
        let stripped = unconditional(&transaction()).to_string();
        for word in ["Condition", "Expression", "Token"] {
            assert!(!stripped.contains(word), "{stripped}");
        }
        assert!(stripped.contains("last_sequence"));
    }
}
