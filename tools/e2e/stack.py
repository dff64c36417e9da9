"""Puts the template and the binaries on the emulator, and makes up for what the emulator leaves out."""

import base64
import json
import re
import secrets
import time

import boto3
from botocore.config import Config

import templates
from emulator import Failure

STACK = "overglass-e2e"
ORIGIN = "http://localhost:3000"
DEPLOY_SECONDS = 300
# The emulator backfills a new vector index for some seconds, as AWS does for longer.
INDEX_SECONDS = 120
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]


def deploy(emulator, template, binaries, emails):
    """Deploys and returns what a test needs to know: see `describe`."""
    clients = Clients(emulator)
    clients.s3.create_bucket(Bucket=templates.ARTIFACTS)
    url = templates.package(clients.s3, emulator["endpoint"], template, binaries)
    create(clients, url)

    resources = Resources(clients)
    api = resources.physical("Api")
    add_routes(clients, resources, api)
    complete_roles(clients, resources)
    complete_mappings(clients, resources)
    complete_tables(clients, resources)
    # Functions reach the bucket over plain HTTP here, which its policy rightly refuses.
    clients.s3.delete_bucket_policy(Bucket=resources.nested("Data").physical("FilesBucket"))
    correct_environment(clients, resources)
    return describe(emulator, resources, api, sign_in(clients, resources, emails))


def describe(emulator, resources, api, tokens):
    """What `up` prints."""
    data, queues = resources.nested("Data"), resources.nested("Queues")
    endpoint = emulator["endpoint"]
    return {
        "api_url": f"{endpoint}/_aws/execute-api/{api}/$default",
        "streams_url": streams_url(resources.clients, resources),
        "endpoint": endpoint,
        "region": emulator["region"],
        "access_key_id": emulator["access_key_id"],
        "secret_access_key": emulator["secret_access_key"],
        "tables": {
            name: data.physical(f"{name.capitalize()}Table")
            for name in ["core", "work", "log", "metrics", "knowledge", "audit", "ledger", "vault", "ephemeral"]
        },
        "bucket": data.physical("FilesBucket"),
        "queues": {
            "agent-interactive": queues.physical("AgentInteractiveQueue"),
            "agent-bulk": queues.physical("AgentBulkQueue"),
            "files": queues.physical("FilesQueue"),
            "index": queues.physical("IndexQueue"),
        },
        "dead_queues": {
            "agent-interactive": queues.physical("AgentInteractiveDeadQueue"),
            "agent-bulk": queues.physical("AgentBulkDeadQueue"),
            "files": queues.physical("FilesDeadQueue"),
            "index": queues.physical("IndexDeadQueue"),
            "event-router": queues.physical("EventRouterDeadQueue"),
        },
        "functions": resources.functions(),
        "user_pool": resources.nested("Identity").physical("UserPool"),
        "user_pool_client": resources.nested("Identity").physical("UserPoolClient"),
        "tokens": tokens,
    }


def invoke(state, binary, event):
    """Invokes a function and waits. The reply holds `payload`, or `error` and the log's end."""
    reply = Clients(state).lambda_.invoke(FunctionName=f"{STACK}-{binary}", Payload=json.dumps(event))
    payload = json.loads(reply["Payload"].read() or b"null")
    if "FunctionError" in reply:
        return {"error": payload}
    return {"payload": payload}


class Clients:
    def __init__(self, emulator):
        def client(service, **settings):
            return boto3.client(
                service,
                endpoint_url=emulator["endpoint"],
                region_name=emulator["region"],
                aws_access_key_id=emulator["access_key_id"],
                aws_secret_access_key=emulator["secret_access_key"],
                config=Config(retries={"total_max_attempts": 1}, read_timeout=960, proxies={}, **settings),
            )

        self.cloudformation = client("cloudformation")
        self.lambda_ = client("lambda")
        self.apigateway = client("apigatewayv2")
        self.dynamodb = client("dynamodb")
        self.iam = client("iam")
        self.cognito = client("cognito-idp")
        self.s3 = client("s3", s3={"addressing_style": "path"})


# ---- Stack ---------------------------------------------------------------------------------------


def create(clients, url):
    clients.cloudformation.create_stack(
        StackName=STACK,
        TemplateURL=url,
        Capabilities=CAPABILITIES,
        # The fullest form of the template: every alarm, and concurrency that one machine can bear.
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value}
            for key, value in {
                "Environment": "dev",
                "AllowedOrigins": ORIGIN,
                "ModelProvider": "offline",
                "Monitoring": "full",
                "InteractiveConcurrency": "4",
                "BulkConcurrency": "2",
                "FileConcurrency": "2",
            }.items()
        ],
    )
    deadline = time.monotonic() + DEPLOY_SECONDS
    while time.monotonic() < deadline:
        status = clients.cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"]
        if status == "CREATE_COMPLETE":
            return
        if not status.endswith("_IN_PROGRESS") or status.startswith("ROLLBACK"):
            raise Failure(f"the stack ended as {status}: {reasons(clients)}")
        time.sleep(0.2)
    raise Failure(f"the stack was not complete within {DEPLOY_SECONDS} s: {reasons(clients)}")


def reasons(clients):
    events = clients.cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
    failed = [
        f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}"
        for event in events
        if event["ResourceStatus"].endswith("FAILED") and event.get("ResourceStatusReason")
    ]
    return "; ".join(failed) or "no reason given"


class Resources:
    """Physical ids of a stack, by logical id."""

    def __init__(self, clients, stack=STACK):
        self.clients = clients
        self.stack = stack
        self.summaries = {}
        pages = clients.cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
        for page in pages:
            for summary in page["StackResourceSummaries"]:
                self.summaries[summary["LogicalResourceId"]] = summary

    def physical(self, logical):
        if logical not in self.summaries:
            raise Failure(f"the stack {self.stack} has no {logical}")
        return self.summaries[logical]["PhysicalResourceId"]

    def nested(self, logical):
        return Resources(self.clients, self.physical(logical))

    def functions(self):
        """Names of functions, by the name of their binary."""
        return {
            summary["PhysicalResourceId"].removeprefix(f"{STACK}-"): summary["PhysicalResourceId"]
            for summary in self.summaries.values()
            if summary["ResourceType"] == "AWS::Lambda::Function"
        }


# ---- What the emulator leaves out ----------------------------------------------------------------


def add_routes(clients, resources, api):
    body = processed(clients)["Resources"]["Api"]["Properties"]["Body"]
    integrations = {}
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            uri = json.dumps(operation["x-amazon-apigateway-integration"]["uri"])
            function = re.search(r"\$\{(\w+)\.Arn\}", uri)[1]
            if function not in integrations:
                integrations[function] = clients.apigateway.create_integration(
                    ApiId=api,
                    IntegrationType="AWS_PROXY",
                    IntegrationUri=function_arn(clients, resources.physical(function)),
                    PayloadFormatVersion="2.0",
                )["IntegrationId"]
            clients.apigateway.create_route(
                ApiId=api,
                RouteKey=f"{method.upper()} {path}",
                Target=f"integrations/{integrations[function]}",
            )
    # The template makes one of two of it, with origins and without; this deployment has some.
    cors = body["x-amazon-apigateway-cors"]["Fn::If"][1] | {"allowOrigins": [ORIGIN]}
    clients.apigateway.update_api(
        ApiId=api, CorsConfiguration={name[0].upper() + name[1:]: value for name, value in cors.items()}
    )


def processed(clients):
    body = clients.cloudformation.get_template(StackName=STACK, TemplateStage="Processed")["TemplateBody"]
    return json.loads(body) if isinstance(body, str) else body


def function_arn(clients, name):
    return clients.lambda_.get_function_configuration(FunctionName=name)["FunctionArn"]


def complete_roles(clients, resources):
    """Sets the permissions boundary that the template gives to the role of each function."""
    for name, resource in processed(clients)["Resources"].items():
        boundary = resource.get("Properties", {}).get("PermissionsBoundary")
        if resource["Type"] == "AWS::IAM::Role" and boundary:
            clients.iam.put_role_permissions_boundary(
                RoleName=resources.physical(name), PermissionsBoundary=resources.physical(boundary["Ref"])
            )


def complete_mappings(clients, resources):
    """Repeats the concurrency of each mapping as a number: from a parameter it arrived as a text."""
    for summary in resources.summaries.values():
        if summary["ResourceType"] == "AWS::Lambda::EventSourceMapping":
            mapping = summary["PhysicalResourceId"]
            scaling = clients.lambda_.get_event_source_mapping(UUID=mapping).get("ScalingConfig")
            if scaling:
                concurrency = int(scaling["MaximumConcurrency"])
                clients.lambda_.update_event_source_mapping(
                    UUID=mapping, ScalingConfig={"MaximumConcurrency": concurrency}
                )


def complete_tables(clients, resources):
    """Adds what CloudFormation here drops: read from the template, so that it is stated once."""
    data = resources.nested("Data")
    for name, resource in templates.load(templates.ROOT / "infra" / "data.yaml")["Resources"].items():
        if resource["Type"] != "AWS::DynamoDB::Table":
            continue
        table, properties = data.physical(name), resource["Properties"]
        if "TimeToLiveSpecification" in properties:
            clients.dynamodb.update_time_to_live(
                TableName=table, TimeToLiveSpecification=properties["TimeToLiveSpecification"]
            )
        for index in properties.get("VectorIndexes", []):
            clients.dynamodb.update_table(
                TableName=table,
                AttributeDefinitions=properties["AttributeDefinitions"],
                VectorIndexUpdates=[{"Create": index}],
            )
            await_index(clients, table, index["IndexName"])


def await_index(clients, table, name):
    deadline = time.monotonic() + INDEX_SECONDS
    while time.monotonic() < deadline:
        indexes = clients.dynamodb.describe_table(TableName=table)["Table"].get("VectorIndexes", [])
        if any(index["IndexName"] == name and index["IndexStatus"] == "ACTIVE" for index in indexes):
            return
        time.sleep(0.5)
    raise Failure(f"the vector index {name} of {table} was not active within {INDEX_SECONDS} s")


def correct_environment(clients, resources):
    """Tells functions where this machine has what they know by its address on AWS."""
    endpoint = clients.lambda_.meta.endpoint_url
    pool = resources.nested("Identity").physical("UserPool")
    corrected = {
        "OVERGLASS_OIDC_JWKS_URI": f"{endpoint}/{pool}/.well-known/jwks.json",
        "OVERGLASS_STREAMS_URL": streams_url(clients, resources),
        "OVERGLASS_SECRET": base64.b64encode(secrets.token_bytes(48)).decode(),
    }
    for function in resources.functions().values():
        variables = clients.lambda_.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
        # Only what the template gives a function: one that lacks a setting must fail here too.
        variables |= {name: value for name, value in corrected.items() if name in variables}
        clients.lambda_.update_function_configuration(
            FunctionName=function, Environment={"Variables": variables}
        )


def sign_in(clients, resources, emails):
    """An ID token of the user pool for each address, valid for an hour."""
    identity = resources.nested("Identity")
    pool, client = identity.physical("UserPool"), identity.physical("UserPoolClient")
    tokens = {}
    for email in emails:
        password = secrets.token_urlsafe(24)
        clients.cognito.admin_create_user(
            UserPoolId=pool,
            Username=email,
            UserAttributes=[
                {"Name": "email", "Value": email},
                {"Name": "email_verified", "Value": "true"},
                {"Name": "name", "Value": email.partition("@")[0].capitalize()},
            ],
            # Its own would be shorter than the pool allows.
            TemporaryPassword=password,
            MessageAction="SUPPRESS",
        )
        clients.cognito.admin_set_user_password(
            UserPoolId=pool, Username=email, Password=password, Permanent=True
        )
        signed_in = clients.cognito.initiate_auth(
            ClientId=client,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": email, "PASSWORD": password},
        )
        tokens[email] = signed_in["AuthenticationResult"]["IdToken"]
    return tokens


def streams_url(clients, resources):
    """The address at which the emulator serves the streaming function's URL."""
    given = clients.lambda_.get_function_url_config(FunctionName=resources.physical("StreamsFunction"))
    host = re.match(r"https?://([^./]+)\.", given["FunctionUrl"])[1]
    return f"{clients.lambda_.meta.endpoint_url}/_aws/lambda-url/{host}"
