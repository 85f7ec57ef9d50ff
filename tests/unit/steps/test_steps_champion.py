"""The gate's states: the champion is found and evaluated before, and no way leads around the verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline import steps
from pipeline.render.recipes import recipes
from pipeline.steps import view
from pipeline.steps.child import to_asl

Make = Callable[..., view.Settings]


def states_of(settings: view.Settings) -> dict[str, Any]:
    train = steps.Train(settings)
    evaluate = steps.Evaluate(settings, train, network_isolation=False, environment={"A": 1})
    blocks = [steps.CheckData(settings), train, evaluate, steps.Gate(settings, train, evaluate),
              steps.Register(settings, train, evaluate), steps.Deploy(settings)]  # fmt: skip
    asl: dict[str, Any] = to_asl(steps.Pipeline(settings, blocks))
    found: dict[str, Any] = asl["States"]
    recipes(asl)
    return found


def rules_of(states: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = states["Gate"]["Parameters"]["Payload"]["rules"]
    return found


def test_the_champion_is_found_and_evaluated_before_the_gate(settings_with: Make) -> None:
    states = states_of(settings_with())
    assert states["Evaluate"]["Next"] == "FindChampion"
    assert states["FindChampion"]["Next"] == "IsChampionToBeEvaluated"
    must = states["IsChampionToBeEvaluated"]
    assert must["Choices"] == [
        {"Variable": "$.champion.evaluate", "BooleanEquals": True, "Next": "BeginEvaluateChampion"}
    ]
    assert must["Default"] == states["EvaluateChampion"]["Next"] == "Gate"
    assert states["Gate"]["Parameters"]["Payload"]["champion.$"] == "$.champion"


def test_an_evaluation_of_the_champion_that_fails_comes_to_the_gate_and_not_around_it(
    settings_with: Make,
) -> None:
    states = states_of(settings_with())
    caught = states["EvaluateChampion"]["Catch"]
    assert [c["ErrorEquals"] for c in caught] == [["States.TaskFailed"], ["States.ALL"]]
    assert caught[0]["Next"] == "LacksEvaluateChampionCapacity"
    assert states["LacksEvaluateChampionCapacity"]["Default"] == caught[1]["Next"] == "ChampionNotEvaluated"
    told = states["ChampionNotEvaluated"]
    assert (told["InputPath"], told["ResultPath"], told["Next"]) == ("$.error", "$.champion.failed", "Gate")


def test_the_champion_runs_by_its_own_image_on_the_same_data_and_otherwise_alike(settings_with: Make) -> None:
    states = states_of(settings_with())
    ours, theirs = states["Evaluate"]["Parameters"], states["EvaluateChampion"]["Parameters"]
    assert theirs["AppSpecification"] == {
        "ImageUri.$": "$.champion.image",
        "ContainerEntrypoint": ours["AppSpecification"]["ContainerEntrypoint"],
    }
    model, *data = theirs["ProcessingInputs"]
    assert model["S3Input"]["S3Uri.$"] == "$.champion.artifacts"
    assert data == ours["ProcessingInputs"][1:]
    for same in ("ProcessingResources", "StoppingCondition", "NetworkConfig", "Environment", "RoleArn"):
        assert theirs[same] == ours[same], same
    folder = theirs["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri.$"]
    assert folder == "States.Format('{}/champion', $.run.output_prefix)"
    assert theirs["ProcessingJobName.$"] != ours["ProcessingJobName.$"], "one run, two jobs"
    assert {"Key": "fingerprint", "Value": "champion"} in theirs["Tags"]


def test_the_champions_evaluation_makes_nothing_that_a_model_is_made_of(settings_with: Make) -> None:
    def fingerprints(settings: view.Settings) -> Any:
        train = steps.Train(settings)
        evaluate = steps.Evaluate(settings, train)
        blocks = [steps.CheckData(settings), train, evaluate, steps.Gate(settings, train, evaluate)]
        return recipes(to_asl(steps.Pipeline(settings, blocks)))

    with_it = fingerprints(settings_with())
    without = fingerprints(settings_with({"pipeline.champion.compare": False}))
    assert with_it["steps"] == without["steps"]
    assert with_it["gate"] != without["gate"], "but what is asked of a model is part of it"


@pytest.mark.parametrize("change", [{"pipeline.champion.compare": False}, {"pipeline.gate": "no"}])
def test_without_a_comparison_nothing_is_looked_for(settings_with: Make, change: dict[str, Any]) -> None:
    if "pipeline.gate" in change:
        change = {"pipeline.gate": [dict(settings_with().pipeline.gate[0], compare=False)]}
    states = states_of(settings_with(change))
    assert not {"FindChampion", "EvaluateChampion", "ChampionNotEvaluated"} & states.keys()
    assert states["Evaluate"]["Next"] == "Gate"
    assert "champion.$" not in states["Gate"]["Parameters"]["Payload"]
    assert "champion" not in rules_of(states)[0]


def test_rules_say_all_that_decides(settings_with: Make) -> None:
    (given,) = settings_with().pipeline.gate
    rules = [
        dict(given, margin=-0.1),
        dict(given, metric="loss", minimum=None, maximum=2.0, doubt="champion"),
        dict(given, metric="band", minimum=0.0, maximum=1.0),
        dict(given, metric="said", minimum=0.0, maximum=1.0, better="lower"),
    ]
    found = rules_of(states_of(settings_with({"pipeline.gate": rules, "pipeline.champion.resamples": 500})))
    common = {"confidence": 0.95, "resamples": 500, "when_unknown": "reject"}
    asked = [rule.get("champion") for rule in found]
    assert asked == [
        {"better": "higher", "margin": -0.1, "doubt": "challenger", **common},
        {"better": "lower", "margin": 0.0, "doubt": "champion", **common},
        None,
        {"better": "lower", "margin": 0.0, "doubt": "challenger", **common},
    ]
    assert found[1] == {"metric": "loss", "maximum": 2.0, "champion": asked[1]}


def test_the_verdict_is_kept_whole_and_registered(settings_with: Make) -> None:
    states = states_of(settings_with())
    kept = states["Gate"]["ResultSelector"]
    assert {"approved.$", "reason.$", "metrics.$", "results.$", "explanation.$"} <= kept.keys()
    for name in ("Register", "RegisterRejected"):
        metadata = states[name]["Parameters"]["CustomerMetadataProperties"]
        assert metadata["gate.$"] == "$.gate.summary"
        assert metadata["champion.$"] == "$.gate.champion.package"
    told = states["NotifyRejected"]["Parameters"]["Payload"]["details"]
    assert told["arithmetic.$"] == "$.gate.explanation"
