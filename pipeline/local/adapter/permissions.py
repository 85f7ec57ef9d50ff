"""Seam: what MiniStack weighs policies against. Logs and alarms by IAM's ARN, metrics by their namespace.

IAM weighs CreateLogStream, DeleteLogStream, GetLogEvents and PutLogEvents on
`log-group:<group>:log-stream:<stream>`, and what is done to a group on `log-group:<group>:log-stream:`, as
AWS's denials show; only tagging is weighed on the bare group
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html). PutMetricData
has the condition key cloudwatch:namespace. MiniStack weighs all of it on the bare group and knows no such
key, so roles that AWS denies would be allowed, and the other way round. Glue is ours: it weighs by itself.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from ministack.core import iam_actions

_ON_STREAMS = frozenset({"CreateLogStream", "DeleteLogStream", "GetLogEvents", "PutLogEvents"})
_ON_BARE_GROUP = frozenset({"ListTagsForResource", "TagResource", "UntagResource"})
_PUT_METRIC = "cloudwatch:PutMetricData"


def install() -> None:
    """Refine the resource and the condition keys of a request."""
    # Ours weigh their callers themselves.
    for service in ("codebuild", "glue"):
        iam_actions.SERVICE_TO_IAM_NAMESPACE.pop(service, None)
    resource, context = iam_actions.extract_resource_arn, iam_actions.request_tag_context

    def refined_resource(
        service: str, method: str, path: str, headers: dict, body: bytes, *more: Any, **named: Any
    ) -> str:
        arn: str = resource(service, method, path, headers, body, *more, **named)
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        if service == "logs" and action not in _ON_BARE_GROUP and ":log-group:" in arn:
            stream = _json(body).get("logStreamName") if action in _ON_STREAMS else ""
            return f"{arn.removesuffix(':*')}:log-stream:{stream if isinstance(stream, str) else ''}"
        if service == "monitoring" and action in ("DescribeAlarms", "DeleteAlarms"):
            return _alarms(action, _json(body))
        return arn

    def refined_context(service: str, iam_action: str, body: bytes, params: dict) -> dict:
        found: dict = context(service, iam_action, body, params)
        if iam_action == _PUT_METRIC:
            namespace = _namespace(body, params)
            if namespace:
                return {**found, "cloudwatch:namespace": namespace}
        return found

    iam_actions.extract_resource_arn = refined_resource
    iam_actions.request_tag_context = refined_context


def _alarms(action: str, request: dict[str, Any]) -> str:
    """What a listing or deletion of alarms is weighed on: all of the account's, or those that are named.

    AWS weighs each name; here they are weighed at once, by what all of them begin with.
    """
    from ministack.core.responses import get_account_id, get_region

    names = [str(name) for name in request.get("AlarmNames") or []]
    if action == "DescribeAlarms" or not names:
        name = "*"
    else:
        first, last = min(names), max(names)
        shared = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
        name = first if first == last else f"{first[:shared]}*"
    return f"arn:aws:cloudwatch:{get_region()}:{get_account_id()}:alarm:{name}"


def _namespace(body: bytes, params: dict) -> str | None:
    """PutMetricData's namespace, as JSON or as a form: the protocols in which MiniStack reads it."""
    given = params.get("Namespace")
    if given:
        return str(given[0] if isinstance(given, list) else given)
    decoded = _json(body)
    if "Namespace" in decoded:
        return str(decoded["Namespace"])
    form = parse_qs(body.decode("utf-8", "replace")).get("Namespace")
    return form[0] if form else None


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except (ValueError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
