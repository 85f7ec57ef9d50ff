"""Images of built-in algorithms: the SDK's URIs, the fingerprint, and what the local target makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline import algorithms
from pipeline.local import builtin, context
from pipeline.local.builtin import images
from pipeline.local.paths import StatePaths
from pipeline.render.recipes import recipes

REGIONS = {
    "eu-west-1": "141502667606.dkr.ecr.eu-west-1.amazonaws.com",
    "us-east-1": "683313688378.dkr.ecr.us-east-1.amazonaws.com",
    "ap-southeast-2": "783357654285.dkr.ecr.ap-southeast-2.amazonaws.com",
    "cn-north-1": "450853457545.dkr.ecr.cn-north-1.amazonaws.com.cn",
    "us-gov-west-1": "414596584902.dkr.ecr.us-gov-west-1.amazonaws.com",
}


@pytest.fixture(autouse=True)
def state(tmp_path: Path) -> None:
    paths = StatePaths.of(tmp_path)
    paths.make()
    context.start(paths, "http://127.0.0.1:1")


@pytest.mark.parametrize("region", sorted(REGIONS))
@pytest.mark.parametrize("version", algorithms.carried()["xgboost"]["versions"])
def test_the_image_is_the_sdks_and_the_local_target_knows_it(region: str, version: str) -> None:
    from sagemaker import image_uris

    from pipeline.steps.sdk import algorithm_image

    uri = algorithm_image("xgboost", version, region)
    assert uri == image_uris.retrieve("xgboost", region, version=version)
    assert uri == f"{REGIONS[region]}/sagemaker-xgboost:{version}"
    assert algorithms.of_image(uri) == ("xgboost", version)
    assert builtin.is_aws(uri)
    resolved = builtin.resolved(uri)
    folder = builtin.folder_of(resolved)
    assert (folder / "VERSION").read_text() == version
    assert {"train", "serve", "requirements.lock", "algorithms.toml"} <= {p.name for p in folder.iterdir()}
    assert builtin.folder_of(uri) == folder
    assert builtin.repository_arn(uri).split(":")[3:5] == [region, uri[:12]]


def test_other_registries_of_aws_are_told_from_ones_own() -> None:
    assert not builtin.is_aws("123456789012.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:3.0-5")
    for uri, says in (
        ("438346466558.dkr.ecr.eu-west-1.amazonaws.com/linear-learner:1", "xgboost (1.7-1, 3.0-5)"),
        ("141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:latest", "xgboost (1.7-1, 3.0-5)"),
        ("141502667606.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.0-5", "in another registry"),
        (f"{REGIONS['eu-west-1']}/sagemaker-xgboost@sha256:{'0' * 64}", "name the algorithm by its tag"),
    ):
        assert builtin.is_aws(uri)
        with pytest.raises(builtin.NotCarried) as refused:
            builtin.resolved(uri)
        assert says in str(refused.value)


def test_a_folder_stays_as_it_was_deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"{REGIONS['eu-west-1']}/sagemaker-xgboost:3.0-5"
    before = builtin.resolved(uri)
    content = images._content
    monkeypatch.setattr(images, "_content", lambda n, v: {**content(n, v), "serve": (b"other", 0o755)})
    after = builtin.resolved(uri)
    assert before != after
    assert (builtin.folder_of(before) / "serve").read_bytes() != b"other"
    assert (builtin.folder_of(after) / "serve").read_bytes() == b"other"


def machine(image: str) -> dict[str, Any]:
    tags = [{"Key": "fingerprint", "Value.$": "$.run.fingerprints.train"}]
    parameters = {"AlgorithmSpecification": {"TrainingImage": image}, "Tags": tags}
    resource = "arn:aws:states:::sagemaker:createTrainingJob.sync"
    return {"States": {"Train": {"Type": "Task", "Resource": resource, "Parameters": parameters}}}


def test_the_fingerprint_counts_the_algorithms_version_and_not_where_its_image_lies() -> None:
    def recipe(image: str) -> dict[str, Any]:
        return dict(recipes(machine(image))["steps"][0])

    here = recipe(f"{REGIONS['eu-west-1']}/sagemaker-xgboost:3.0-5")
    assert here == recipe(f"{REGIONS['us-east-1']}/sagemaker-xgboost:3.0-5")
    assert here["recipe"] != recipe(f"{REGIONS['eu-west-1']}/sagemaker-xgboost:1.7-1")["recipe"]
    assert not here["image"] and recipe("${ImageUri}")["image"]


def test_every_hyperparameter_has_a_type_that_is_known() -> None:
    facts = algorithms.carried()["xgboost"]
    rules = facts["hyperparameters"]
    assert {rule["type"] for rule in rules.values()} == {
        "choice",
        "float",
        "integer",
        "list",
        "metrics",
        "text",
    }
    assert set(facts["aliases"].values()) <= set(rules)
    assert set(facts["train_metrics"]) <= {*facts["maximize"], *facts["minimize"]}
