//! Least privilege: exact actions on exact resources, in every statement of every template.

use serde_json::{Map, Value};

use crate::check::Finding;
use crate::template::{Resource, Stack, each_object};

/// Actions that have no resource to name, so that `*` is the only one they take.
const WITHOUT_RESOURCE: &[&str] = &["xray:PutTelemetryRecords", "xray:PutTraceSegments"];

/// Actions that read a table from end to end, or can be made to.
const SCANS: &[&str] = &[
    "dynamodb:Scan",
    "dynamodb:PartiQLSelect",
    "dynamodb:ExecuteStatement",
];

/// Checks every statement and every policy of a function.
pub(crate) fn check(stack: &Stack) -> Vec<Finding> {
    let mut findings = Vec::new();
    for resource in stack.resources() {
        if resource.kind == "AWS::Serverless::Function" {
            findings.extend(borrowed_policies(&resource));
        }
        // In a key's own policy `*` is that key, which has no ARN yet.
        let is_key = resource.kind == "AWS::KMS::Key";
        each_object(resource.body, &mut |object| {
            let is_statement = object.contains_key("Effect")
                && ["Action", "NotAction"]
                    .iter()
                    .any(|name| object.contains_key(*name));
            if is_statement && object["Effect"] != "Deny" {
                findings.extend(statement(&resource, object, is_key));
            }
        });
    }
    findings
}

/// A policy of AWS or a template of SAM grants what its author thought of, scans among it.
fn borrowed_policies(function: &Resource<'_>) -> Vec<Finding> {
    let policies = match &function.properties()["Policies"] {
        Value::Array(policies) => policies.as_slice(),
        Value::Null => &[],
        one => std::slice::from_ref(one),
    };
    let is_own = |policy: &Value| {
        ["Statement", "Ref", "Fn::If", "Fn::GetAtt"]
            .iter()
            .any(|name| policy.get(name).is_some())
    };
    policies
        .iter()
        .filter(|policy| !is_own(policy))
        .map(|policy| {
            let name = match policy {
                Value::Object(fields) => fields.keys().next().cloned().unwrap_or_default(),
                other => other.as_str().unwrap_or_default().to_owned(),
            };
            let id = function.id;
            Finding::new(
                function.file,
                format!(
                    "{id} borrows the policy {name}, write a Statement with the actions it needs"
                ),
            )
        })
        .collect()
}

fn statement(
    resource: &Resource<'_>,
    statement: &Map<String, Value>,
    is_key: bool,
) -> Vec<Finding> {
    let sid = statement
        .get("Sid")
        .and_then(Value::as_str)
        .unwrap_or("a statement");
    let place = format!("{}, {sid}", resource.id);
    let mut messages = Vec::new();
    for name in ["NotAction", "NotResource", "NotPrincipal"] {
        if statement.contains_key(name) {
            messages.push(format!(
                "{place}: {name} allows whatever is added later, name what is allowed"
            ));
        }
    }
    let actions = texts(statement.get("Action"));
    for action in &actions {
        if action.contains('*') {
            messages.push(format!("{place}: allows `{action}`, name each action"));
        }
        if SCANS.iter().any(|scan| scan.eq_ignore_ascii_case(action)) {
            messages.push(format!(
                "{place}: allows `{action}`, query by key instead of reading whole tables"
            ));
        }
    }
    let needs_none = actions
        .iter()
        .all(|action| WITHOUT_RESOURCE.contains(action));
    let objects = actions.iter().all(|action| action.starts_with("s3:"));
    for named in texts(statement.get("Resource")) {
        let exact = !named.contains('*')
            || (named == "*" && (needs_none || is_key))
            || (objects && is_prefix_of_objects(named));
        if !exact {
            messages.push(format!(
                "{place}: allows it on `{named}`, name the resource"
            ));
        }
    }
    messages
        .into_iter()
        .map(|message| Finding::new(resource.file, message))
        .collect()
}

/// Objects of one bucket under one prefix have no other name: `${Bucket}/orgs/*`, or those of one
/// kind of every org: `${Bucket}/orgs/*/index/*`.
fn is_prefix_of_objects(resource: &str) -> bool {
    let Some(prefix) = resource.strip_suffix("/*") else {
        return false;
    };
    let Some((bucket, folders)) = prefix.split_once('/') else {
        return false;
    };
    let mut folders = folders.split('/');
    let first = folders.next().unwrap_or_default();
    bucket.contains("${")
        && !bucket.contains('*')
        && !first.contains('*')
        && folders.all(|folder| folder == "*" || !folder.contains('*'))
}

/// The texts of a value, whichever intrinsic functions hold them.
fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => items.iter().flat_map(|item| texts(Some(item))).collect(),
        Some(Value::Object(fields)) => {
            let names = fields
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "Ref" | "Fn::GetAtt"));
            names.flat_map(|(_, field)| texts(Some(field))).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_one, stack, stack_with};

    #[test]
    fn exact_statements_pass() {
        assert_eq!(check(&stack()), []);
    }

    #[test]
    fn a_wildcard_among_the_actions_is_found() {
        for (old, new) in [
            (
                "Action: [dynamodb:GetItem, dynamodb:Query]",
                "Action: \"*\"",
            ),
            (
                "Action: [dynamodb:GetItem, dynamodb:Query]",
                "Action: [\"dynamodb:*\"]",
            ),
            ("Action: [s3:GetObject]", "Action: [\"s3:Get*\"]"),
        ] {
            assert_one(&check(&stack_with(old, new)), "name each action");
        }
        let not = stack_with(
            "Action: [dynamodb:GetItem, dynamodb:Query]",
            "NotAction: [dynamodb:GetItem]",
        );
        assert_one(&check(&not), "NotAction allows whatever is added later");
    }

    #[test]
    fn objects_of_one_kind_of_every_org_pass() {
        let stack = stack_with("${Bucket.Arn}/orgs/*", "${Bucket.Arn}/orgs/*/index/*");
        assert_eq!(check(&stack), []);
    }

    #[test]
    fn a_wildcard_among_the_resources_is_found() {
        for resource in [
            "\"*\"",
            "[\"arn:aws:dynamodb:*:*:table/x\"]",
            "[!Sub \"${CoreTable.Arn}/index/*\"]",
        ] {
            let stack = stack_with(
                "Resource: [!GetAtt CoreTable.Arn]",
                &format!("Resource: {resource}"),
            );
            assert_one(&check(&stack), "AgentsFunction, Core: allows it on");
        }
        for resource in ["${Bucket.Arn}/*", "arn:aws:s3:::*", "${Bucket.Arn}/*/x"] {
            let stack = stack_with("${Bucket.Arn}/orgs/*", resource);
            assert_one(&check(&stack), "Boundary, Objects: allows it on");
        }
        let traces = stack_with(
            "Action: [xray:PutTraceSegments]",
            "Action: [logs:PutLogEvents]",
        );
        assert_one(&check(&traces), "Boundary, Traces: allows it on `*`");
    }

    #[test]
    fn a_scan_is_found_however_it_is_spelt() {
        for action in ["dynamodb:Scan", "DynamoDB:scan", "dynamodb:PartiQLSelect"] {
            assert_one(
                &check(&stack_with("dynamodb:Query", action)),
                "query by key",
            );
        }
    }

    #[test]
    fn a_borrowed_policy_is_found() {
        for policy in [
            "AmazonDynamoDBFullAccess",
            "{DynamoDBReadPolicy: {TableName: !Ref CoreTable}}",
        ] {
            let stack = stack_with(
                "        - !Ref Boundary\n",
                &format!("        - {policy}\n"),
            );
            assert_one(&check(&stack), "AgentsFunction borrows the policy");
        }
    }
}
