"""The real template on an emulator of AWS: the ground of the deployed test.

    deploy.py up --functions DIR --port PORT --state FILE    start, deploy, print JSON
    deploy.py invoke --state FILE FUNCTION [--event JSON]    invoke a function, print its reply
    deploy.py kill --state FILE FUNCTION                     kill -9 the processes of a function
    deploy.py down --state FILE                              stop, remove what `up` made

DIR holds one folder per binary with a `bootstrap` in it, as `cargo lambda build` leaves them in
target/lambda. FUNCTION is a binary's name, such as `agent-runner`. `up` prints one JSON object: see
`describe`. Everything listens on 127.0.0.1.

The template is deployed as it stands: the emulator runs the SAM transform, the nested stacks, the
roles, queues with their event source mappings, the stream, the schedule, the user pool, the alarms
and the dashboard, and every request of a function is checked against the policy of its role and the
permissions boundary, so a missing permission fails here as it would on AWS.

What ministack 1.5.33 cannot do, and what is done about it here:

- It ignores the OpenAPI `Body` of an HTTP API. The integrations, routes and CORS rules are made from
  the processed template's `Body` afterwards.
- It drops `VectorIndexes` and `TimeToLiveSpecification` of a table: both are set afterwards. It drops
  point-in-time recovery, and encryption, CORS, lifecycle and access block of a bucket: no test needs
  them.
- It has no `aws cloudformation package`: code and nested templates are put into a bucket, and their
  places written into the template, before the upload.
- It drops the permissions boundary of a role, which is set afterwards, and then evaluates it.
- It hands a numeric parameter on as a text, which its poller of queues cannot compare: the concurrency
  of each mapping is set again as a number.
- A secret it generates ignores `ExcludePunctuation` and is no base64: functions are given another.
- Its user pool signs tokens in the name of the real AWS host, which serves no keys to this machine:
  functions are told to fetch the keys from the emulator. Likewise the address of the streams.
- It answers a URL that streams only when the function has ended, adds 50 to 100 ms to an invocation,
  and does not throttle: nothing about time may be concluded from it.
- It moves past a batch of a stream even if the reply names failures, and gives up on a batch by age
  alone. Retries of the event router are tested elsewhere.
- It is reached over plain HTTP, which the bucket's policy refuses: that policy is taken away again.
- It does not evaluate `dynamodb:LeadingKeys`.
"""

import argparse
import json
import sys

import emulator
import stack
import templates


def up(args):
    template, binaries = templates.read(args.functions)
    running = emulator.start(args.state, args.port)
    try:
        deployed = stack.deploy(running, template, binaries, args.user)
    except BaseException:
        emulator.stop(args.state, keep_log=True)
        raise
    emulator.remember(args.state, deployed)
    print(json.dumps(deployed, indent=2))


def down(args):
    emulator.stop(args.state)


def invoke(args):
    state = emulator.recall(args.state)
    reply = stack.invoke(state, args.function, json.loads(args.event))
    print(json.dumps(reply))
    return 1 if "error" in reply else 0


def kill(args):
    state = emulator.recall(args.state)
    killed = emulator.kill_function(state, f"{stack.STACK}-{args.function}")
    print(json.dumps({"killed": killed}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("up", help="start the emulator and deploy the template")
    command.add_argument("--functions", required=True, help="folder with <binary>/bootstrap")
    command.add_argument("--port", required=True, type=int)
    command.add_argument("--state", required=True, help="file that the other commands read")
    command.add_argument("--user", action="append", default=[], metavar="EMAIL", help="someone to sign in; repeat")
    command.set_defaults(run=up)

    command = commands.add_parser("invoke", help="invoke a function and wait for its reply")
    command.add_argument("--state", required=True)
    command.add_argument("--event", default="{}", help="the event, as JSON")
    command.add_argument("function")
    command.set_defaults(run=invoke)

    command = commands.add_parser("kill", help="kill the running processes of a function")
    command.add_argument("--state", required=True)
    command.add_argument("function")
    command.set_defaults(run=kill)

    command = commands.add_parser("down", help="stop the emulator and its functions")
    command.add_argument("--state", required=True)
    command.set_defaults(run=down)

    args = parser.parse_args()
    try:
        return args.run(args)
    except emulator.Failure as failure:
        print(f"deploy.py: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
