"""Optimised integrations that are one API call: DynamoDB, EventBridge, SNS, SQS."""

from __future__ import annotations

from typing import Any

from pipeline.local.states.errors import StateFailure
from pipeline.local.states.integrations import api
from pipeline.local.states.integrations.api import Style
from pipeline.local.states.integrations.base import Integration
from pipeline.local.states.integrations.waiting import from_token
from pipeline.local.states.jsontext import dumps
from pipeline.local.states.taskcall import REQUEST, TOKEN, Resource, TaskCall


class Service(Integration):
    """A service whose tasks are plain API calls.

    Args:
        style: how its errors are named.
        apis: the APIs AWS has optimised.
        token: whether they may wait for a task token.
    """

    def __init__(self, style: Style, apis: frozenset[str], *, token: bool) -> None:
        self.style = style
        self.apis = apis
        self.patterns = (REQUEST, TOKEN) if token else (REQUEST,)

    def supports(self, resource: Resource) -> bool:
        return resource.api in self.apis and resource.pattern in self.patterns

    def run(self, call: TaskCall) -> Any:
        response = api.request(call, self.style, call.resource.api, call.parameters)
        if self.style.botocore == "events" and response.get("FailedEntryCount"):
            # AWS: "If any entries fail, the PutEvents task fails".
            raise StateFailure("EventBridge.FailedEntry", dumps(response))
        if call.resource.pattern == TOKEN:
            call.submitted(response)
            return from_token(call)
        return response


DYNAMODB = Service(
    api.optimised("dynamodb", "DynamoDB", "AmazonDynamoDBv2"),
    frozenset({"deleteItem", "getItem", "putItem", "updateItem"}),
    token=False,
)
EVENTS = Service(
    api.optimised("events", "EventBridge", "AmazonEventBridge"), frozenset({"putEvents"}), token=True
)
SNS = Service(api.optimised("sns", "SNS", "AmazonSNS"), frozenset({"publish"}), token=True)
SQS = Service(api.optimised("sqs", "SQS", "AmazonSQS"), frozenset({"sendMessage"}), token=True)
