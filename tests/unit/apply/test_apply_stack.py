"""A change set's way, against CloudFormation's answers as botocore's model has them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import ANY, Stubber

from pipeline.apply import stack
from pipeline.aws import Clients, Target
from pipeline.aws.errors import told
from pipeline.aws.pace import Pace
from pipeline.aws.stacks import Stack
from pipeline.errors import ApplyError, TargetError
from pipeline.plan.model import StackAction
from pipeline.plan.planner import base

ID = "arn:aws:cloudformation:eu-west-1:111111111111:stack/iris-dev/1"
SET = "arn:aws:cloudformation:eu-west-1:111111111111:changeSet/pipeline-x/1"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
PARAMETERS = {"ImageUri": "reg/ml/iris@sha256:aa"}


class Scene:
    """CloudFormation that answers in the order the test says."""

    def __init__(self, stubber: Stubber, clients: Clients) -> None:
        self.stubber, self.clients, self.said = stubber, clients, list[str]()

    def stack(self, status: str | None) -> None:
        if status is None:
            self.stubber.add_client_error(
                "describe_stacks", "ValidationError", "Stack with id iris-dev does not exist"
            )
            return
        found = {"StackName": "iris-dev", "StackId": ID, "StackStatus": status, "CreationTime": NOW}
        self.stubber.add_response("describe_stacks", {"Stacks": [found]})

    def standing(self, status: str, template: str = "{}") -> None:
        """What a look at the deployed state finds: status, template, resources."""
        self.stack(status)
        self.stubber.add_response("get_template", {"TemplateBody": template})
        self.stubber.add_response("list_stack_resources", {"StackResourceSummaries": []})

    def change_set(self, status: str, reason: str = "", execution: str = "AVAILABLE") -> None:
        found = {
            "ChangeSetId": SET,
            "StackId": ID,
            "Status": status,
            "StatusReason": reason,
            "ExecutionStatus": execution,
        }
        self.stubber.add_response("describe_change_set", found)

    def create(self, kind: str) -> None:
        expected = {
            "StackName": "iris-dev",
            "ChangeSetName": ANY,
            "ChangeSetType": kind,
            "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
            "Parameters": [{"ParameterKey": "ImageUri", "ParameterValue": PARAMETERS["ImageUri"]}],
            "Tags": [{"Key": "project", "Value": "ml"}],
            "TemplateBody": "{}",
        }
        self.stubber.add_response("create_change_set", {"Id": SET, "StackId": ID}, expected)

    def sweep(self, *names: str) -> None:
        summaries = [{"ChangeSetName": name, "ExecutionStatus": "AVAILABLE"} for name in names]
        self.stubber.add_response("list_change_sets", {"Summaries": summaries})

    def events(self, *events: tuple[str, str, str, str]) -> None:
        """(id, logical id, status, reason), oldest first; the stack's own is called iris-dev."""
        raw = [
            {
                "EventId": number,
                "StackId": ID,
                "StackName": "iris-dev",
                "LogicalResourceId": name,
                "PhysicalResourceId": ID if name == "iris-dev" else name,
                "ResourceType": "AWS::CloudFormation::Stack" if name == "iris-dev" else "AWS::IAM::Role",
                "Timestamp": NOW,
                "ResourceStatus": status,
                "ResourceStatusReason": reason,
            }
            for number, name, status, reason in events
        ]
        self.stubber.add_response("describe_stack_events", {"StackEvents": raw[::-1]})

    def carry_out(self, action: StackAction) -> bool:
        with told("aws"):
            return stack.carry_out(self.clients, action, PARAMETERS, "bucket", self.said.append)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    client = boto3.client(
        "cloudformation",
        region_name="eu-west-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )
    clients = Clients(Target("aws", None, "eu-west-1", "111111111111"), None)
    clients.__dict__["cloudformation"] = client
    monkeypatch.setattr(stack, "Pace", lambda: Pace(sleep=lambda _: None))
    with Stubber(client) as stubber:
        yield Scene(stubber, clients)
        stubber.assert_no_pending_responses()


def action(operation: Any = "update", **more: Any) -> StackAction:
    """Planned from a stack that stood with the template `{}`."""
    more.setdefault("base", base(Stack("iris-dev", ID, more.pop("stood", "CREATE_COMPLETE"), template="{}")))
    return StackAction("pipeline", "iris-dev", operation, "{}", tags=(("project", "ml"),), **more)


def test_an_update_is_followed_to_its_end_and_foreign_change_sets_stay(scene: Scene) -> None:
    scene.stack("UPDATE_COMPLETE")
    scene.create("UPDATE")
    scene.change_set("CREATE_PENDING")
    scene.change_set("CREATE_COMPLETE")
    scene.standing("UPDATE_COMPLETE")
    planned = action(stood="UPDATE_COMPLETE")
    scene.sweep("by-hand", "pipeline-left-by-an-interrupt", stack.change_set_name(planned, PARAMETERS))
    scene.stubber.add_response(
        "delete_change_set", {}, {"StackName": "iris-dev", "ChangeSetName": "pipeline-left-by-an-interrupt"}
    )
    old = ("0", "iris-dev", "UPDATE_COMPLETE", "")
    scene.events(old)
    scene.stubber.add_response("execute_change_set", {}, {"ChangeSetName": SET, "RetainExceptOnCreate": True})
    # The status is still the old one: that must not be taken for the end.
    scene.stack("UPDATE_COMPLETE")
    scene.events(old)
    scene.stack("UPDATE_IN_PROGRESS")
    begun = ("1", "iris-dev", "UPDATE_IN_PROGRESS", "")
    scene.events(old, begun)
    scene.stack("UPDATE_COMPLETE")
    scene.events(old, begun, ("2", "Role", "UPDATE_COMPLETE", ""), ("3", "iris-dev", "UPDATE_COMPLETE", ""))
    assert scene.carry_out(planned) is True
    assert [line.split()[1] for line in scene.said] == ["iris-dev", "Role", "iris-dev"]


def test_a_failed_update_waits_for_the_rollback_and_tells_the_cause(scene: Scene) -> None:
    scene.stack("CREATE_COMPLETE")
    scene.create("UPDATE")
    scene.change_set("CREATE_COMPLETE")
    scene.standing("CREATE_COMPLETE")
    scene.sweep()
    scene.events()
    scene.stubber.add_response("execute_change_set", {})
    scene.stack("UPDATE_ROLLBACK_IN_PROGRESS")
    failed = [
        ("1", "Gate", "UPDATE_FAILED", "Resource update cancelled"),
        ("2", "TrainingRole", "UPDATE_FAILED", "Syntax errors in policy"),
        (
            "3",
            "iris-dev",
            "UPDATE_ROLLBACK_IN_PROGRESS",
            "The following resource(s) failed to update: [Gate]",
        ),
    ]
    scene.events(*failed)
    scene.stack("UPDATE_ROLLBACK_COMPLETE")
    scene.events(*failed, ("4", "iris-dev", "UPDATE_ROLLBACK_COMPLETE", ""))
    with pytest.raises(ApplyError, match=r"TrainingRole.*Syntax errors in policy") as caught:
        scene.carry_out(action())
    assert "UPDATE_ROLLBACK_COMPLETE" in caught.value.what
    assert "failed to update" not in caught.value.what


@pytest.mark.parametrize(
    "reason", ["The submitted information didn't contain changes.", "No updates are to be performed."]
)
def test_no_changes_is_no_change_and_leaves_no_change_set(scene: Scene, reason: str) -> None:
    scene.stack("CREATE_COMPLETE")
    scene.create("UPDATE")
    scene.change_set("FAILED", reason)
    scene.stubber.add_response("delete_change_set", {})
    assert scene.carry_out(action()) is False


def test_a_refused_template_of_a_new_stack_leaves_nothing_behind(scene: Scene) -> None:
    scene.stack(None)
    scene.create("CREATE")
    scene.change_set("FAILED", "Transform failed")
    scene.stubber.add_response("delete_change_set", {})
    scene.stack("REVIEW_IN_PROGRESS")
    scene.stubber.add_response("delete_stack", {}, {"StackName": ID})
    with pytest.raises(ApplyError, match="Transform failed"):
        scene.carry_out(action("create"))


def test_a_change_set_of_an_interrupted_apply_is_taken_up_again(scene: Scene) -> None:
    scene.stack("CREATE_COMPLETE")
    scene.stubber.add_client_error("create_change_set", "AlreadyExistsException", "exists")
    scene.change_set("CREATE_COMPLETE")
    scene.change_set("CREATE_COMPLETE")
    scene.standing("CREATE_COMPLETE")
    scene.sweep()
    scene.events()
    scene.stubber.add_response("execute_change_set", {})
    scene.stack("UPDATE_COMPLETE")
    scene.events(("1", "iris-dev", "UPDATE_COMPLETE", ""))
    assert scene.carry_out(action()) is True


@pytest.mark.parametrize("status", ["OBSOLETE", "EXECUTE_FAILED"])
def test_a_change_set_that_cannot_be_executed_any_more_is_made_anew(scene: Scene, status: str) -> None:
    scene.stack("CREATE_COMPLETE")
    scene.stubber.add_client_error("create_change_set", "AlreadyExistsException", "exists")
    scene.change_set("CREATE_COMPLETE", execution=status)
    scene.stubber.add_response("delete_change_set", {})
    scene.create("UPDATE")
    scene.change_set("FAILED", "No updates are to be performed.")
    scene.stubber.add_response("delete_change_set", {})
    assert scene.carry_out(action()) is False


def test_another_apply_is_noticed_at_each_of_its_moments(scene: Scene) -> None:
    scene.stack("UPDATE_IN_PROGRESS")
    with pytest.raises(stack.BusyError):
        scene.carry_out(action())
    scene.stack("UPDATE_COMPLETE")
    busy = "Stack:iris-dev is in UPDATE_IN_PROGRESS state and can not be updated."
    scene.stubber.add_client_error("create_change_set", "ValidationError", busy)
    with pytest.raises(stack.BusyError):
        scene.carry_out(action())
    scene.stack("UPDATE_COMPLETE")
    scene.create("UPDATE")
    scene.change_set("CREATE_COMPLETE")
    scene.standing("UPDATE_COMPLETE")
    scene.sweep()
    scene.events()
    scene.stubber.add_client_error("execute_change_set", "InvalidChangeSetStatus", "executing")
    with pytest.raises(stack.BusyError):
        scene.carry_out(action(stood="UPDATE_COMPLETE"))


def test_a_change_that_ended_between_plan_and_change_set_is_noticed(scene: Scene) -> None:
    scene.stack("CREATE_COMPLETE")
    scene.create("UPDATE")
    scene.change_set("CREATE_COMPLETE")
    # Somebody else's update began and ended meanwhile: nothing is in progress, but this is another state.
    scene.standing("UPDATE_COMPLETE", '{"Resources": {"ByHand": {"Type": "AWS::SNS::Topic"}}}')
    scene.stubber.add_response("delete_change_set", {})
    with pytest.raises(stack.BusyError, match="not what it was when this was planned"):
        scene.carry_out(action())


def test_a_stack_that_never_came_up_is_deleted_and_made_anew(scene: Scene) -> None:
    scene.stack("ROLLBACK_COMPLETE")
    scene.events(("0", "iris-dev", "ROLLBACK_COMPLETE", ""))
    scene.stubber.add_response("delete_stack", {}, {"StackName": ID})
    scene.stack("DELETE_IN_PROGRESS")
    scene.events(("0", "iris-dev", "ROLLBACK_COMPLETE", ""), ("1", "iris-dev", "DELETE_IN_PROGRESS", ""))
    scene.stack(None)
    scene.events(("1", "iris-dev", "DELETE_IN_PROGRESS", ""), ("2", "iris-dev", "DELETE_COMPLETE", ""))
    scene.create("CREATE")
    scene.change_set("CREATE_COMPLETE")
    scene.sweep()
    scene.events()
    scene.stubber.add_response("execute_change_set", {})
    scene.stack("CREATE_COMPLETE")
    scene.events(("3", "iris-dev", "CREATE_COMPLETE", ""))
    assert scene.carry_out(action("recreate")) is True


def test_a_large_template_goes_through_the_bucket(scene: Scene) -> None:
    large = StackAction("pipeline", "iris-dev", "update", '"' + "x" * 60_000 + '"')
    scene.stack("CREATE_COMPLETE")
    scene.stubber.add_client_error("create_change_set", "ValidationError", "seen")
    request: dict[str, Any] = {}
    scene.clients.cloudformation.meta.events.register(
        "before-parameter-build.cloudformation.CreateChangeSet", lambda params, **_: request.update(params)
    )
    with pytest.raises(ApplyError, match="seen"):
        scene.carry_out(large)
    assert request["TemplateURL"].startswith("https://s3.eu-west-1.amazonaws.com/bucket/templates/")
    assert "TemplateBody" not in request


@pytest.mark.parametrize(
    ("code", "says"),
    [("AccessDenied", "permission denied"), ("ExpiredToken", "expired"), ("Throttling", "throttled")],
)
def test_what_aws_refuses_is_told_as_such(scene: Scene, code: str, says: str) -> None:
    scene.stack("CREATE_COMPLETE")
    scene.stubber.add_client_error("create_change_set", code, "you may not")
    with pytest.raises(TargetError, match=says):
        scene.carry_out(action())


def test_the_same_change_has_the_same_name_and_another_one_not() -> None:
    name = stack.change_set_name(action(), PARAMETERS)
    assert name == stack.change_set_name(action(), dict(PARAMETERS))
    assert name != stack.change_set_name(action(), {"ImageUri": "other"})
    assert name != stack.change_set_name(action("create"), PARAMETERS)
    assert len(name) <= 128
