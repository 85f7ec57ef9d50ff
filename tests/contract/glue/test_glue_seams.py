"""The names of MiniStack's that Glue uses: an upgrade that moves one fails here, by name."""

from __future__ import annotations

import inspect
import json

import pytest
from ministack.core import iam_actions, responses
from ministack.services import eventbridge, tagging

from pipeline.local.glue import events, role, tags
from pipeline.local.glue.store import Scope, store


def test_the_gateway_would_weigh_by_itself() -> None:
    assert iam_actions.SERVICE_TO_IAM_NAMESPACE.get("glue", "glue") == "glue"


def test_tags_are_collected_under_the_service_s_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    scope = Scope("111122223333", "eu-west-1")
    monkeypatch.setattr(store, "_root", tmp_path_factory.mktemp("glue"))
    monkeypatch.setattr(store, "_kinds", {})
    store.put(scope, "job", "j", {"Tags": {"k": "v"}})
    monkeypatch.setitem(tagging._RESOURCE_TAG_COLLECTORS, "glue", tags._collect)
    assert "glue" in tagging._COLLECTORS
    with responses.request_scope("111122223333", "eu-west-1"):
        assert tagging.resource_tags(scope.arn("job/j")) == {"k": "v"}


def test_events_of_aws_s_own_sources_can_be_put(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(inspect.signature(eventbridge._put_events).parameters) == ["data", "allow_aws_source"]
    seen = []
    monkeypatch.setattr(eventbridge, "_dispatch_event", lambda event, *_: seen.append(event))
    with responses.request_scope("111122223333", "eu-west-1"):
        events.emit({"JobRunState": "SUCCEEDED", "JobName": "j", "Id": "jr_1"})
        events.emit({"JobRunState": "ERROR", "JobName": "j", "Id": "jr_1"})
    (event,) = seen
    assert event["Source"] == "aws.glue" and json.loads(event["Detail"])["message"] == "Job run succeeded"


def test_a_role_by_its_name() -> None:
    scope = Scope("111122223333", "eu-west-1")
    assert role.arn("none", scope) == "arn:aws:iam::111122223333:role/none"
    assert role.arn("arn:aws:iam::1:role/x", scope) == "arn:aws:iam::1:role/x"
