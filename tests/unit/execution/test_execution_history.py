"""A history as visits: AWS's linked events, and a history without links."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.execution.history import Reader, Timeline, readable_cause, timeline

START = datetime(2026, 11, 22, tzinfo=UTC)


class History:
    """Writes events as Step Functions does: each with an id, a time and the event it follows."""

    def __init__(self, linked: bool = True) -> None:
        self.events: list[dict[str, Any]] = []
        self.linked = linked

    def add(self, kind: str, detail: str = "", after: int | None = None, **details: Any) -> int:
        number = len(self.events) + 1
        event: dict[str, Any] = {
            "id": number,
            "type": kind,
            "timestamp": START + timedelta(seconds=number),
        }
        if self.linked:
            event["previousEventId"] = number - 1 if after is None else after
        if detail:
            event[f"{detail}EventDetails"] = details
        self.events.append(event)
        return number

    def enter(self, name: str, kind: str = "Task", after: int | None = None) -> int:
        return self.add(f"{kind}StateEntered", "stateEntered", after, name=name)

    def exit(self, name: str, kind: str = "Task", after: int | None = None) -> int:
        return self.add(f"{kind}StateExited", "stateExited", after, name=name)

    def schedule(self, parameters: dict[str, Any], after: int | None = None) -> int:
        return self.add(
            "TaskScheduled", "taskScheduled", after, resource="x", parameters=json.dumps(parameters)
        )

    def fail(self, error: str, cause: str, after: int | None = None) -> int:
        return self.add("TaskFailed", "taskFailed", after, error=error, cause=cause)


def trained_after_a_retry(linked: bool) -> History:
    history = History(linked)
    history.add("ExecutionStarted")
    history.enter("Train")
    history.schedule({"TrainingJobName": "iris-dev-1-0"})
    history.fail("SageMaker.AmazonSageMakerException", "capacity")
    history.schedule({"TrainingJobName": "iris-dev-1-1"})
    history.add("TaskSubmitted", "taskSubmitted", output="{}")
    history.add("TaskSucceeded")
    history.exit("Train")
    history.enter("Gate")
    history.schedule({"FunctionName": "arn:aws:lambda:eu-west-1:111111111111:function:iris-dev-gate:$LATEST"})
    return history


@pytest.mark.parametrize("linked", [True, False])
def test_retries_jobs_and_functions_are_told(linked: bool) -> None:
    train, gate = timeline(trained_after_a_retry(linked).events).visits
    assert (train.status, train.retries, train.error) == ("succeeded", 1, "")
    assert train.jobs == [("training job", "iris-dev-1-0"), ("training job", "iris-dev-1-1")]
    assert train.seconds(START) == 6
    assert (gate.status, gate.function) == ("running", "iris-dev-gate")
    assert gate.seconds(START + timedelta(seconds=60)) == 51


def failed_and_told(linked: bool) -> History:
    history = History(linked)
    history.add("ExecutionStarted")
    history.enter("DescribeEndpoint")
    history.schedule({})
    history.fail("SageMaker.SageMakerException", "Could not find endpoint")
    history.exit("DescribeEndpoint")
    history.enter("Train")
    history.schedule({"TrainingJobName": "j"})
    history.fail("States.TaskFailed", '{"TrainingJobStatus":"Failed","FailureReason":"AlgorithmError: bad"}')
    history.exit("Train")
    history.enter("NotifyFailed")
    history.schedule({"FunctionName": "notify"})
    history.fail("Lambda.Unknown", "slack")
    history.exit("NotifyFailed")
    history.enter("PipelineFailed", "Fail")
    cause = '{"TrainingJobStatus":"Failed","FailureReason":"AlgorithmError: bad"}'
    history.add("ExecutionFailed", "executionFailed", error="States.TaskFailed", cause=cause)
    return history


@pytest.mark.parametrize("linked", [True, False])
def test_the_culprit_is_whose_error_ended_the_run_not_what_was_got_over(linked: bool) -> None:
    found = timeline(failed_and_told(linked).events)
    assert found.status == "FAILED"
    culprit = found.culprit()
    assert culprit is not None
    assert culprit.name == "Train"
    assert readable_cause(found.cause) == "AlgorithmError: bad"
    assert found.statuses() == {
        "DescribeEndpoint": "caught",
        "Train": "failed",
        "NotifyFailed": "caught",
        "PipelineFailed": "failed",
    }


def test_a_rejection_has_no_culprit() -> None:
    history = History()
    history.add("ExecutionStarted")
    history.enter("ModelRejected", "Fail")
    history.add("ExecutionFailed", "executionFailed", error="ModelRejected", cause="accuracy 0.4 < 0.88")
    found = timeline(history.events)
    assert found.culprit() is None
    assert (found.error, found.cause) == ("ModelRejected", "accuracy 0.4 < 0.88")


def test_a_stopped_run_aborts_what_ran() -> None:
    history = History()
    history.add("ExecutionStarted")
    history.enter("Train")
    history.add("ExecutionAborted", "executionAborted", error="Stopped", cause="by hand")
    (train,) = timeline(history.events).visits
    assert (train.status, train.cause) == ("aborted", "by hand")


def test_events_of_parallel_branches_go_to_their_own_state() -> None:
    history = History()
    history.add("ExecutionStarted")
    both = history.enter("Both", "Parallel")
    left = history.enter("Left", after=both)
    right = history.enter("Right", after=both)
    left = history.schedule({"TrainingJobName": "left"}, after=left)
    right = history.schedule({"TrainingJobName": "right"}, after=right)
    left = history.fail("Boom", "left broke", after=left)
    right = history.add("TaskSucceeded", after=right)
    history.exit("Right", after=right)
    found = {visit.name: visit for visit in timeline(history.events).visits}
    assert (found["Left"].status, found["Left"].error) == ("failed", "Boom")
    assert found["Right"].status == "succeeded"
    assert found["Left"].jobs == [("training job", "left")]


def test_a_reader_fed_in_pieces_sees_what_changed_and_nothing_twice() -> None:
    events = trained_after_a_retry(linked=True).events
    reader, changes = Reader(), []
    for end in range(1, len(events) + 1):
        changes += [(v.name, v.status) for v in reader.feed(events[:end])]
    assert reader.timeline == timeline(events)
    assert changes.count(("Train", "succeeded")) == 1
    assert reader.feed(events) == []


@pytest.mark.parametrize(
    ("cause", "says"),
    [
        ("plain words", "plain words"),
        ('{"errorMessage": "no data", "errorType": "ValueError", "stackTrace": []}', "ValueError: no data"),
        ('{"Cause": "{\\"FailureReason\\": \\"inner\\"}"}', "inner"),
        (
            '{"TrainingJobStatus": "Stopped", "SecondaryStatus": "MaxRuntimeExceeded"}',
            "the job is Stopped (MaxRuntimeExceeded)",
        ),
        (
            '{"ProcessingJobStatus": "Failed", "FailureReason": "AlgorithmError: exit 3"}',
            "AlgorithmError: exit 3",
        ),
        ("[1]", "[1]"),
    ],
)
def test_a_cause_is_boiled_down_to_its_sentence(cause: str, says: str) -> None:
    assert readable_cause(cause) == says


def test_a_glue_run_is_known_by_the_id_it_was_given() -> None:
    history = History()
    history.add("ExecutionStarted")
    history.enter("TransformFeatures")
    history.schedule({"JobName": "recommender-dev-features", "Arguments": {"--FINGERPRINT": "f"}})
    history.add("TaskSubmitted", "taskSubmitted", output=json.dumps({"JobRunId": "jr_1"}))
    history.add("TaskSucceeded")
    history.exit("TransformFeatures")
    (visit,) = timeline(history.events).visits
    assert visit.jobs == [("Glue run", "jr_1")]
    said = {"JobRunState": "FAILED", "ErrorMessage": "AnalysisException: Path does not exist"}
    assert readable_cause(json.dumps(said)) == "AnalysisException: Path does not exist"
    assert readable_cause(json.dumps({"JobRunState": "TIMEOUT"})) == "the job is TIMEOUT (no reason given)"


def test_an_empty_history_is_an_empty_timeline() -> None:
    assert timeline([]) == Timeline()
