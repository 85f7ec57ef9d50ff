"""Functions on the local target: errors as AWS tells them, the role's permissions and nothing else."""

from __future__ import annotations

import textwrap

import pytest

from tests.e2e.local_core.conftest import Target, until


@pytest.fixture(scope="module")
def role(target: Target) -> str:
    return target.role("plain", "lambda")


def deployed(target: Target, role: str, name: str, body: str, **more: object) -> str:
    source = "def handler(event, context):\n" + textwrap.indent(textwrap.dedent(body), "    ")
    target.function(name, source, role, **more)
    return name


def test_the_answer_is_what_the_handler_returns(target: Target, role: str) -> None:
    deployed(target, role, "echo", "return {'event': event, 'id': context.aws_request_id != ''}")
    assert target.invoke("echo", {"a": [1, None]}) == (None, {"event": {"a": [1, None]}, "id": True})


def test_an_error_has_the_name_of_its_class(target: Target, role: str) -> None:
    deployed(target, role, "raises", "class SmokeTestFailed(Exception): pass\nraise SmokeTestFailed('503')")
    error, payload = target.invoke("raises")
    assert error == "Unhandled"
    assert (payload["errorType"], payload["errorMessage"]) == ("SmokeTestFailed", "503")
    assert "in handler" in payload["stackTrace"][0]
    assert payload["requestId"]


def test_an_error_is_in_the_log(target: Target, role: str) -> None:
    deployed(target, role, "logs-it", "print('before'); raise KeyError('x')")
    target.invoke("logs-it")
    logs = target.client("logs")

    def messages() -> str:
        found = logs.filter_log_events(logGroupName="/aws/lambda/logs-it")["events"]
        return "\n".join(event["message"] for event in found)

    text = until(lambda: "KeyError" in messages() and messages())
    assert "before" in text
    assert "REPORT" in text


@pytest.mark.parametrize(
    ("source", "kind", "part"),
    [
        ("import pandas\ndef handler(e, c): pass", "Runtime.ImportModuleError", "No module named 'pandas'"),
        (
            "import pipeline\ndef handler(e, c): pass",
            "Runtime.ImportModuleError",
            "No module named 'pipeline'",
        ),
        ("def handler(e, c)\n", "Runtime.UserCodeSyntaxError", "Syntax error in module 'handler'"),
        ("other = 1", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'handler'"),
        ("raise OSError('at import')", "OSError", "at import"),
        ("def handler(e, c): return {1, 2}", "Runtime.MarshalError", "Unable to marshal response"),
        ("import os\ndef handler(e, c): os._exit(3)", "Runtime.ExitError", "Runtime exited"),
    ],
)
def test_the_runtimes_own_errors(target: Target, role: str, source: str, kind: str, part: str) -> None:
    name = kind.replace(".", "-") + str(len(source))
    target.function(name, source, role)
    error, payload = target.invoke(name)
    assert error == "Unhandled"
    assert payload["errorType"] == kind
    assert part in payload["errorMessage"]


def test_a_timeout(target: Target, role: str) -> None:
    deployed(target, role, "sleeps", "import time; time.sleep(60)", Timeout=1)
    error, payload = target.invoke("sleeps")
    assert (error, payload["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert payload["errorMessage"].endswith("Task timed out after 1.00 seconds")


def test_nothing_of_the_hosts_environment_is_seen(target: Target, role: str) -> None:
    deployed(
        target, role, "env", "import os; return sorted(os.environ)", Environment={"Variables": {"MINE": "1"}}
    )
    _, names = target.invoke("env")
    assert {"MINE", "AWS_REGION", "AWS_SESSION_TOKEN", "AWS_LAMBDA_FUNCTION_NAME"} <= set(names)
    assert not {"HOME", "USER", "VIRTUAL_ENV", "STATE_DIR", "PYTHONPATH"} & set(names)


def test_a_function_may_do_what_its_role_allows(target: Target) -> None:
    s3 = target.client("s3")
    s3.create_bucket(Bucket="data-allowed", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="data-allowed", Key="in/a", Body=b"1")
    arn = target.role(
        "reader",
        "lambda",
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::data-allowed/in/*"},
    )
    body = """
        import boto3
        s3 = boto3.client("s3")
        if event == "read":
            return s3.get_object(Bucket="data-allowed", Key="in/a")["Body"].read().decode()
        s3.put_object(Bucket="data-allowed", Key="in/b", Body=b"2")
        """
    deployed(target, arn, "reads", body, Timeout=30)
    assert target.invoke("reads", "read") == (None, "1")
    error, payload = target.invoke("reads", "write")
    assert (error, payload["errorType"]) == ("Unhandled", "AccessDenied")
    assert "(AccessDenied) when calling the PutObject operation" in payload["errorMessage"]
    assert ":assumed-role/reader/reads is not authorized to perform: s3:PutObject" in payload["errorMessage"]
