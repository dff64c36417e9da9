//! A small repository that is right, for tests that break it in one place.

use crate::operations::{Operation, Permission};
use crate::template::{Stack, Template};

/// A template with one function of each sort.
pub(crate) const MAIN: &str = r#"
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    LoggingConfig: {LogFormat: JSON, LogGroup: !Ref ApiLogs}
Resources:
  Queues:
    Type: AWS::CloudFormation::Stack
    Properties: {TemplateURL: infra/queues.yaml}
  LogTable:
    Type: AWS::DynamoDB::Table
    Properties: {BillingMode: PAY_PER_REQUEST}
  ApiLogs:
    Type: AWS::Logs::LogGroup
    Properties: {RetentionInDays: 30}
  Boundary:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument:
        Statement:
          - Sid: Traces
            Effect: Allow
            Action: [xray:PutTraceSegments]
            Resource: "*"
          - !If
            - HasObjects
            - Sid: Objects
              Effect: Allow
              Action: [s3:GetObject]
              Resource: [!Sub "${Bucket.Arn}/orgs/*"]
            - !Ref AWS::NoValue
          - Sid: Plain
            Effect: Deny
            Action: "*"
            Resource: "*"
  AgentsFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: target/lambda/agents/
      Timeout: 15
      MemorySize: 256
      Policies:
        - !Ref Boundary
        - Statement:
            - Sid: Core
              Effect: Allow
              Action: [dynamodb:GetItem, dynamodb:Query]
              Resource: [!GetAtt CoreTable.Arn]
      Events:
        Create: {Type: HttpApi, Properties: {Method: POST, Path: /v1/agents}}
        Get: {Type: HttpApi, Properties: {Method: GET, Path: "/v1/agents/{agent_id}"}}
  StreamsFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: target/lambda/streams/
      Timeout: 300
      MemorySize: 128
      FunctionUrlConfig: {AuthType: NONE, InvokeMode: RESPONSE_STREAM}
  FileProcessorFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: target/lambda/file-processor/
      Timeout: 300
      MemorySize: 1024
      Events:
        Bulk:
          Type: SQS
          Properties:
            Queue: !GetAtt Queues.Outputs.BulkArn
            FunctionResponseTypes: [ReportBatchItemFailures]
            ScalingConfig: {MaximumConcurrency: 3}
  FilesMapping:
    Type: AWS::Lambda::EventSourceMapping
    Properties:
      FunctionName: !Ref FileProcessorFunction
      EventSourceArn: !GetAtt Queues.Outputs.FilesArn
      FunctionResponseTypes: [ReportBatchItemFailures]
      ScalingConfig: {MaximumConcurrency: 5}
  EventRouterFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: target/lambda/event-router/
      Timeout: 60
      MemorySize: 256
  RouterMapping:
    Type: AWS::Lambda::EventSourceMapping
    Properties:
      FunctionName: !Ref EventRouterFunction
      EventSourceArn: !GetAtt LogTable.StreamArn
      FunctionResponseTypes: [ReportBatchItemFailures]
      DestinationConfig: {OnFailure: {Destination: !GetAtt Queues.Outputs.RouterDeadArn}}
  SweeperFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: target/lambda/sweeper/
      Timeout: 50
      MemorySize: 128
      Events:
        EveryMinute: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 minute)}}
"#;

/// A nested stack with the queues of [`MAIN`].
pub(crate) const QUEUES: &str = r#"
Resources:
  FilesQueue:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Sub "${Prefix}-files"
      VisibilityTimeout: 1800
      RedrivePolicy: {deadLetterTargetArn: !GetAtt FilesDeadQueue.Arn, maxReceiveCount: 5}
  FilesDeadQueue:
    Type: AWS::SQS::Queue
    Properties: {QueueName: !Sub "${Prefix}-files-dead"}
  BulkQueue:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Sub "${Prefix}-bulk"
      VisibilityTimeout: 2000
      RedrivePolicy: {deadLetterTargetArn: !GetAtt BulkDeadQueue.Arn, maxReceiveCount: 6}
  BulkDeadQueue:
    Type: AWS::SQS::Queue
    Properties: {QueueName: !Sub "${Prefix}-bulk-dead"}
  RouterDeadQueue:
    Type: AWS::SQS::Queue
    Properties: {QueueName: !Sub "${Prefix}-router-dead"}
Outputs:
  FilesArn: {Value: !GetAtt FilesQueue.Arn}
  BulkArn: {Value: !GetAtt BulkQueue.Arn}
  RouterDeadArn: {Value: !GetAtt RouterDeadQueue.Arn}
"#;

/// The two templates as a stack.
pub(crate) fn stack() -> Stack {
    stack_of(MAIN, QUEUES)
}

/// The two templates with one text replaced, wherever it stands.
pub(crate) fn stack_with(old: &str, new: &str) -> Stack {
    assert!(
        MAIN.contains(old) || QUEUES.contains(old),
        "{old} is in neither template"
    );
    stack_of(&MAIN.replace(old, new), &QUEUES.replace(old, new))
}

fn stack_of(main: &str, queues: &str) -> Stack {
    Stack {
        main: Template::parse("template.yaml", main).expect("the main template"),
        nested: vec![Template::parse("infra/queues.yaml", queues).expect("the queues")],
    }
}

/// An operation whose name and permission follow from its route.
pub(crate) fn operation(method: &'static str, path: &str, function: &str) -> Operation {
    let access = if method == "GET" { "read" } else { "write" };
    let words: Vec<&str> = path
        .split(['/', '{', '}'])
        .filter(|word| !word.is_empty())
        .collect();
    Operation {
        method,
        path: path.to_owned(),
        id: format!("{}_{}", method.to_lowercase(), words.join("_")),
        function: function.to_owned(),
        permission: Permission::Scope(format!("{function}:{access}")),
    }
}

/// Asserts that there is exactly one finding, and that it says this.
pub(crate) fn assert_one(findings: &[crate::check::Finding], expected: &str) {
    let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(
        texts.len() == 1 && texts[0].contains(expected),
        "expected `{expected}` in {texts:#?}"
    );
}
