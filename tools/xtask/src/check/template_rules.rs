//! Queues, mappings, functions and logs are set up so that nothing is lost and nothing is without
//! bounds.

use serde_json::Value;

use crate::check::Finding;
use crate::template::{MAIN, Mapping, Resource, Source, Stack};

/// A message must stay hidden this many times longer than its function may run: a batch that is
/// throttled is tried again within the same receipt.
const VISIBILITY_FACTOR: u64 = 6;
/// Fewer receipts, and a throttled message is given up without having been tried.
const MIN_RECEIVE_COUNT: u64 = 5;
/// What tells a worker how many executions of one organization run at once.
const RUNS_PER_ORG: &str = "OVERGLASS_RUNS_PER_ORG";
/// How dead-letter queues are called.
const DEAD_SUFFIX: &str = "-dead";

/// Checks every queue, mapping, function and log group.
pub(crate) fn check(stack: &Stack) -> Vec<Finding> {
    let mut findings = Vec::new();
    for resource in stack.resources() {
        match resource.kind {
            "AWS::SQS::Queue" => findings.extend(queue(stack, &resource)),
            "AWS::Logs::LogGroup" if resource.properties()["RetentionInDays"].is_null() => {
                let message = format!("{} keeps logs for ever, add RetentionInDays", resource.id);
                findings.push(Finding::new(resource.file, message));
            }
            _ => {}
        }
    }
    for mapping in stack.mappings() {
        findings.extend(self::mapping(stack, &mapping));
    }
    for function in stack.functions() {
        let missing = [
            ("Timeout", function.timeout.is_none()),
            ("MemorySize", function.memory.is_none()),
            ("LoggingConfig with a LogGroup", !function.has_log_group),
        ];
        for (what, is_missing) in missing {
            if is_missing {
                findings.push(Finding::new(
                    MAIN,
                    format!("{} has no {what}, add one", function.id),
                ));
            }
        }
    }
    findings
}

fn queue(stack: &Stack, queue: &Resource<'_>) -> Option<Finding> {
    let name = queue_name(queue);
    if name.ends_with(DEAD_SUFFIX) {
        return None;
    }
    let redrive = &queue.properties()["RedrivePolicy"];
    let target = redrive["deadLetterTargetArn"]["Fn::GetAtt"]
        .as_str()
        .unwrap_or_default();
    let target = target.split('.').next().unwrap_or_default();
    let dead = stack
        .resources()
        .find(|other| other.kind == queue.kind && other.file == queue.file && other.id == target);
    let finding =
        |message: String| Some(Finding::new(queue.file, format!("{}: {message}", queue.id)));
    let Some(dead) = dead else {
        return finding(
            "has no dead-letter queue, add a RedrivePolicy to one in this file".to_owned(),
        );
    };
    let expected = format!("{name}{DEAD_SUFFIX}");
    if queue_name(&dead) != expected {
        return finding(format!(
            "its dead-letter queue {} is not called `{expected}`, rename it",
            dead.id
        ));
    }
    if redrive["maxReceiveCount"]
        .as_u64()
        .is_none_or(|count| count < MIN_RECEIVE_COUNT)
    {
        return finding(format!(
            "gives messages up too early, set maxReceiveCount to {MIN_RECEIVE_COUNT} or more"
        ));
    }
    None
}

fn queue_name(queue: &Resource<'_>) -> String {
    let name = &queue.properties()["QueueName"];
    name.as_str()
        .or_else(|| name["Fn::Sub"].as_str())
        .unwrap_or_default()
        .to_owned()
}

fn mapping(stack: &Stack, mapping: &Mapping<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let id = &mapping.id;
    let mut note = |file: &str, message: String| findings.push(Finding::new(file, message));
    let reports = mapping.properties["FunctionResponseTypes"]
        .as_array()
        .is_some_and(|kinds| kinds.iter().any(|kind| kind == "ReportBatchItemFailures"));
    if !reports {
        note(
            MAIN,
            format!(
                "{id}: one bad message fails its batch, add FunctionResponseTypes: [ReportBatchItemFailures]"
            ),
        );
    }
    let functions = stack.functions();
    let function = functions
        .iter()
        .find(|function| function.id == mapping.function);
    if function.is_none() {
        note(
            MAIN,
            format!("{id}: feeds no function of this template, write FunctionName: !Ref …Function"),
        );
    }
    match &mapping.source {
        Source::Queue(queue) => {
            if mapping.properties["ScalingConfig"]["MaximumConcurrency"].is_null() {
                note(
                    MAIN,
                    format!("{id}: has no bound, add ScalingConfig with MaximumConcurrency"),
                );
            }
            let bound = &mapping.properties["ScalingConfig"]["MaximumConcurrency"];
            let worker = stack.main.resource(&mapping.function);
            let share = worker
                .map(|worker| &worker.properties()["Environment"]["Variables"][RUNS_PER_ORG])
                .and_then(|share| stack.main.number(share));
            if let (Some(bound), Some(share)) = (stack.main.number(bound), share)
                && bound <= share
            {
                note(
                    MAIN,
                    format!(
                        "{id}: one organization can hold all {bound}, set MaximumConcurrency above \
                     the {share} of {RUNS_PER_ORG}"
                    ),
                );
            }
            let timeout = function.and_then(|function| function.timeout).unwrap_or(0);
            let least = timeout * VISIBILITY_FACTOR;
            let visible = queue.properties()["VisibilityTimeout"]
                .as_u64()
                .unwrap_or(0);
            if visible < least {
                note(
                    queue.file,
                    format!(
                        "{}: is visible again after {visible} s, set VisibilityTimeout to {least} or more: \
                     {VISIBILITY_FACTOR} times the {timeout} s of {}",
                        queue.id, mapping.function
                    ),
                );
            }
        }
        Source::Stream => {
            let destination: &Value =
                &mapping.properties["DestinationConfig"]["OnFailure"]["Destination"];
            if destination.is_null() {
                note(
                    MAIN,
                    format!(
                        "{id}: loses what cannot be read, add DestinationConfig with OnFailure"
                    ),
                );
            }
        }
        Source::Unknown => {
            note(
                MAIN,
                format!(
                    "{id}: reads from nothing of this stack, name one of its queues or streams"
                ),
            );
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_one, stack, stack_with};

    fn broken(old: &str, new: &str, expected: &str) {
        assert_one(&check(&stack_with(old, new)), expected);
    }

    #[test]
    fn a_sound_stack_passes() {
        assert_eq!(check(&stack()), []);
    }

    #[test]
    fn a_queue_without_dead_letters_is_found() {
        broken(
            "RedrivePolicy: {deadLetterTargetArn: !GetAtt FilesDeadQueue.Arn, maxReceiveCount: 5}",
            "DelaySeconds: 0",
            "FilesQueue: has no dead-letter queue",
        );
        broken(
            "!GetAtt FilesDeadQueue.Arn",
            "!GetAtt OtherQueue.Arn",
            "FilesQueue: has no dead-letter queue",
        );
        broken(
            "!GetAtt FilesDeadQueue.Arn",
            "!GetAtt BulkDeadQueue.Arn",
            "is not called `${Prefix}-files-dead`",
        );
        broken(
            "maxReceiveCount: 5",
            "maxReceiveCount: 4",
            "gives messages up too early",
        );
    }

    #[test]
    fn a_visibility_timeout_under_six_times_the_timeout_is_found() {
        broken(
            "VisibilityTimeout: 1800",
            "VisibilityTimeout: 1799",
            "FilesQueue: is visible again after 1799 s",
        );
        broken(
            "      VisibilityTimeout: 2000\n",
            "",
            "set VisibilityTimeout to 1800 or more",
        );
    }

    #[test]
    fn a_mapping_must_report_and_be_bounded() {
        broken(
            "!GetAtt LogTable.StreamArn\n      FunctionResponseTypes: [ReportBatchItemFailures]",
            "!GetAtt LogTable.StreamArn",
            "RouterMapping: one bad message fails its batch",
        );
        broken(
            "ScalingConfig: {MaximumConcurrency: 5}",
            "BatchSize: 1",
            "FilesMapping: has no bound",
        );
        broken(
            "ScalingConfig: {MaximumConcurrency: 3}",
            "BatchSize: 1",
            "FileProcessorFunction.Bulk: has no bound",
        );
        broken(
            "!GetAtt Queues.Outputs.FilesArn",
            "arn:aws:sqs:x",
            "FilesMapping: reads from nothing",
        );
        broken(
            "!Ref EventRouterFunction",
            "other",
            "RouterMapping: feeds no function",
        );
        broken(
            "DestinationConfig: {OnFailure: {Destination: !GetAtt Queues.Outputs.RouterDeadArn}}",
            "BatchSize: 1",
            "RouterMapping: loses what cannot be read",
        );
    }

    #[test]
    fn one_organization_cannot_hold_all_that_a_queue_is_given() {
        let with = |share: &str| {
            let environment = format!(
                "MemorySize: 1024\n      Environment: {{Variables: {{{RUNS_PER_ORG}: {share}}}}}"
            );
            check(&stack_with("MemorySize: 1024", &environment))
        };
        assert_one(&with("3"), "FileProcessorFunction.Bulk: one organization");
        assert_eq!(with("2"), []);
    }

    #[test]
    fn a_function_has_its_limits_and_its_logs() {
        broken("Timeout: 15", "Role: x", "AgentsFunction has no Timeout");
        broken(
            "MemorySize: 1024",
            "Role: x",
            "FileProcessorFunction has no MemorySize",
        );
        broken(
            "RetentionInDays: 30",
            "LogGroupName: x",
            "ApiLogs keeps logs for ever",
        );
        let silent = check(&stack_with(", LogGroup: !Ref ApiLogs", ""));
        assert_eq!(silent.len(), stack().functions().len());
        assert!(
            silent[0]
                .to_string()
                .contains("has no LoggingConfig with a LogGroup")
        );
    }
}
