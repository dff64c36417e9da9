"""One emulator process: started, found again by its state file, and ended without touching others."""

import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

REGION = "us-east-1"
START_SECONDS = 60
STOP_SECONDS = 15


class Failure(Exception):
    """Something went wrong that the person at the terminal can act on."""


def start(state_file, port):
    """Starts the emulator on 127.0.0.1:`port` and returns its state, which is also kept in `state_file`."""
    state_file = pathlib.Path(state_file).resolve()
    if state_file.exists():
        raise Failure(f"{state_file} exists: an emulator may still run; end it with `down` first")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Failure(f"port {port} of 127.0.0.1 is taken: {error.strerror}") from error

    state_file.parent.mkdir(parents=True, exist_ok=True)
    home = tempfile.mkdtemp(prefix="overglass-e2e-")
    log = f"{state_file}.log"
    secret = secrets.token_hex(16)
    endpoint = f"http://127.0.0.1:{port}"
    # Functions inherit this environment, so nothing of the caller's may leak into it: no key of a
    # model, no AWS profile, no proxy.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": home,
        "TMPDIR": home,
        "LANG": "C.UTF-8",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "root",
        "AWS_SECRET_ACCESS_KEY": secret,
        "AUTH": "true",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "STATE_DIR": f"{home}/state",
        "S3_DATA_DIR": f"{home}/s3",
    }
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    state = {
        "pid": process.pid,
        "started": started_at(process.pid),
        "home": home,
        "log": log,
        "endpoint": endpoint,
        "region": REGION,
        "access_key_id": "root",
        "secret_access_key": secret,
    }
    write(state_file, state)
    try:
        await_health(process, endpoint, log)
    except BaseException:
        stop(state_file, keep_log=True)
        raise
    return state


def await_health(process, endpoint, log):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Failure(f"the emulator ended with status {process.returncode} at its start; see {log}")
        try:
            with urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise Failure(f"the emulator did not answer within {START_SECONDS} s; see {log}")


def stop(state_file, keep_log=False):
    """Ends the emulator of `state_file` and its functions. Without such a file there is nothing to do."""
    state_file = pathlib.Path(state_file).resolve()
    if not state_file.exists():
        return
    state = json.loads(state_file.read_text())
    pid = state["pid"]
    # The number may belong to somebody else by now; the time of its start tells.
    if started_at(pid) == state["started"]:
        os.killpg(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while group_lives(pid) and time.monotonic() < deadline:
            reap(pid)
            time.sleep(0.1)
    # Functions may outlive the emulator; its number stays theirs as the number of their group.
    for member in group_members(pid, state["home"]):
        os.kill(member, signal.SIGKILL)
    reap(pid)
    shutil.rmtree(state["home"], ignore_errors=True)
    if not keep_log:
        pathlib.Path(state["log"]).unlink(missing_ok=True)
    state_file.unlink()


def kill_function(state, function_name):
    """Kills the processes that run `function_name` with no chance to tidy up; returns their ids."""
    killed = []
    for pid in group_members(state["pid"], state["home"]):
        if environment_of(pid).get("AWS_LAMBDA_FUNCTION_NAME") == function_name:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
    return killed


def recall(state_file):
    try:
        return json.loads(pathlib.Path(state_file).read_text())
    except FileNotFoundError:
        raise Failure(f"{state_file} does not exist: nothing was deployed, or it was taken down") from None


def remember(state_file, deployed):
    state = recall(state_file)
    write(pathlib.Path(state_file), {**state, "deployed": deployed})


def write(path, value):
    # It holds keys, though only of this emulator.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(value, file, indent=2)


def started_at(pid):
    """When a process started, in clock ticks since boot; None if there is none or it has ended."""
    fields = stat_of(pid)
    return None if fields is None or fields[0] == "Z" else fields[19]


def group_lives(group):
    return any(stat[0] != "Z" and int(stat[2]) == group for _, stat in processes())


def group_members(group, home):
    """Living processes of the group that were started from `home`: the group's number alone is not proof."""
    return [
        pid
        for pid, stat in processes()
        if stat[0] != "Z" and int(stat[2]) == group and environment_of(pid).get("TMPDIR") == home
    ]


def processes():
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            stat = stat_of(int(entry.name))
            if stat is not None:
                yield int(entry.name), stat


def stat_of(pid):
    """The fields of /proc/PID/stat from the third on; the second may hold spaces and brackets."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def environment_of(pid):
    try:
        raw = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return {}
    return dict(entry.split("=", 1) for entry in raw.decode(errors="replace").split("\0") if "=" in entry)


def reap(pid):
    """Collects the emulator if it is this process's own child, so that it does not stay as a zombie."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass
