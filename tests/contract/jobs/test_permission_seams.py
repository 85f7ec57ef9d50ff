"""The parts of MiniStack that pipeline/local/adapter/permissions.py refines, in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def said_by(code: str) -> object:
    """What `code`, run by a fresh interpreter, prints as JSON: MiniStack reads its settings at import."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_requests_are_weighed_through_two_functions_looked_up_at_each_request() -> None:
    found = said_by(
        """
import inspect, json
from ministack.core import iam_actions
app = inspect.getsource(__import__("ministack.app", fromlist=["app"]))
print(json.dumps({
    "resource": list(inspect.signature(iam_actions.extract_resource_arn).parameters),
    "context": list(inspect.signature(iam_actions.request_tag_context).parameters),
    "late": "            extract_resource_arn,\\n" in app and "            request_tag_context,\\n" in app,
}))
"""
    )
    assert found == {
        "resource": ["service", "method", "path", "headers", "body", "query_params", "region", "account_id"],
        "context": ["service", "iam_action", "body", "params"],
        "late": True,
    }


def test_streams_and_groups_have_the_arns_of_iam_and_metrics_their_namespace() -> None:
    found = said_by(
        """
import json
from ministack.core import iam_actions
from pipeline.local.adapter import permissions
permissions.install()
def resource(action, **body):
    headers = {"x-amz-target": "Logs_20140328." + action}
    return iam_actions.extract_resource_arn(
        "logs", "POST", "/", headers, json.dumps(body).encode(), {}, "eu-west-1", "111122223333"
    )
def context(body, params):
    return iam_actions.request_tag_context("monitoring", "cloudwatch:PutMetricData", body, params)
print(json.dumps([
    resource("PutLogEvents", logGroupName="/g", logStreamName="a/b"),
    resource("CreateLogGroup", logGroupName="/g"),
    resource("TagResource", resourceArn="arn:aws:logs:eu-west-1:111122223333:log-group:/g"),
    context(b'{"Namespace": "mine"}', {}),
    context(b"Action=PutMetricData&Namespace=mine", {}),
    context(b"", {"Namespace": ["mine"]}),
    iam_actions.request_tag_context("monitoring", "cloudwatch:ListMetrics", b'{"Namespace": "mine"}', {}),
]))
"""
    )
    group = "arn:aws:logs:eu-west-1:111122223333:log-group:/g"
    mine = {"cloudwatch:namespace": "mine"}
    # As AWS's own denials name them: "... logs:CreateLogGroup on resource: ...:log-group:/g:log-stream:".
    assert found == [f"{group}:log-stream:a/b", f"{group}:log-stream:", group, mine, mine, mine, {}]
