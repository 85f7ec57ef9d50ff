"""Which event of a failed change is the cause."""

from __future__ import annotations

from pipeline.apply.events import Event, event, explain, root_cause, worth_showing


def failed(name: str, reason: str, status: str = "CREATE_FAILED", stack: bool = False) -> Event:
    return Event(f"{name}{status}", name, "AWS::X::Y", status, reason, stack=stack)


def test_the_first_failure_is_the_cause_not_those_it_cancelled() -> None:
    cause = root_cause(
        [
            failed("A", "Resource creation cancelled"),
            failed("Role", "Policy is not valid"),
            failed("B", "Resource creation cancelled"),
            failed("stack", "The following resource(s) failed to create: [A, Role, B].", stack=True),
            failed("Queue", "cannot be deleted", "DELETE_FAILED"),
        ]
    )
    assert cause is not None
    assert cause.logical_id == "Role"
    assert explain(cause) == "Role (AWS::X::Y) CREATE_FAILED: Policy is not valid"


def test_a_stack_that_fails_by_itself_is_its_own_cause() -> None:
    own = failed("stack", "Export X is in use", "UPDATE_ROLLBACK_FAILED", stack=True)
    assert root_cause([own]) == own
    assert root_cause([]) is None
    assert root_cause([Event("1", "A", "T", "CREATE_COMPLETE")]) is None


def test_of_one_look_each_resource_speaks_once_and_the_stack_always() -> None:
    events = [
        Event("1", "s", "Stack", "CREATE_IN_PROGRESS", stack=True),
        Event("2", "A", "T", "CREATE_IN_PROGRESS"),
        Event("3", "A", "T", "CREATE_COMPLETE"),
        Event("4", "B", "T", "CREATE_IN_PROGRESS"),
        Event("5", "s", "Stack", "CREATE_COMPLETE", stack=True),
    ]
    assert [e.id for e in worth_showing(events)] == ["1", "3", "4", "5"]


def test_a_nested_stack_is_a_resource_the_stack_itself_is_not() -> None:
    raw = {
        "EventId": "1",
        "StackId": "arn:s",
        "PhysicalResourceId": "arn:s",
        "ResourceType": "AWS::CloudFormation::Stack",
        "ResourceStatus": "CREATE_COMPLETE",
        "LogicalResourceId": "iris-dev",
    }
    assert event(raw).stack
    assert not event({**raw, "PhysicalResourceId": "arn:nested"}).stack
