"""container/mask_rcnn on two hosts of a local training job: torchrun from SageMaker's resourceconfig."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.local import down, ensure_up
from pipeline.local.runner import mount
from tests.e2e.local_jobs.conftest import ALLOWED, BUCKET, REGION, Jobs
from tests.e2e.local_jobs.test_training_hosts import TWO, lines
from tests.e2e.mask_rcnn.conftest import CONTAINER, part_of

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(mount.isolation() == mount.MAPPED, reason="this kernel gives no mount namespaces"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Iterator[Jobs]:
    """A local target that knows the container, with eight tiles in S3."""
    root = tmp_path_factory.mktemp("repository")
    # Without its buildspec: that image would be built by the workflow, this one is known by its folder.
    ignored = shutil.ignore_patterns("buildspec.yml")
    shutil.copytree(CONTAINER, root / "container" / "mask_rcnn", ignore=ignored)
    for shared in ("serving", "script_mode", "model_quality"):
        shutil.copytree(CONTAINER.parent / shared, root / "container" / shared)
    try:
        made = Jobs(root, ensure_up(root))
        made.client("s3").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        made.role = made.make_role("job", *ALLOWED)
        made.image = made.push("mask_rcnn")
        data = part_of(sample, "train", root / "train", 8)
        for path in (one for one in data.rglob("*") if one.is_file()):
            made.put(f"train/{path.relative_to(data).as_posix()}", path.read_bytes())
        yield made
    finally:
        down(root)


def train(cluster: Jobs, **changes: object) -> str:
    """Start a job on two isolated hosts; its name."""
    hyperparameters = {"num_epochs": "2", "batch_size": "4", "seed": "3"}
    return cluster.train(
        "",
        ResourceConfig=TWO,
        EnableNetworkIsolation=True,
        InputDataConfig=[cluster.channel("train", f"s3://{BUCKET}/train/")],
        HyperParameters=hyperparameters | dict(changes.pop("hyperparameters", {})),  # type: ignore[call-overload]
        seconds=300,
        **changes,
    )


def test_two_hosts_train_one_model_and_a_later_job_goes_on_with_it(cluster: Jobs) -> None:
    checkpoints = {"LocalPath": "/opt/ml/checkpoints", "S3Uri": f"s3://{BUCKET}/checkpoints"}
    name = train(cluster, CheckpointConfig=checkpoints)
    done = cluster.trained(name, 280)
    said = lines(cluster, name)
    assert done["TrainingJobStatus"] == "Completed", (done.get("FailureReason"), said)
    for number, host in enumerate(("algo-1", "algo-2"), start=1):
        assert f"torchrun: host {number} of 2, 1 processes on each" in said[host]
    # One of them tells and writes, for both.
    assert any(line.startswith("processes: 2, cpu") for line in said["algo-1"])
    losses = [
        float(found[1]) for line in said["algo-1"] if (found := re.search(r"\btrain_loss=([0-9.]+);", line))
    ]
    assert len(losses) == 2
    assert losses[1] < losses[0]
    assert not any("epoch=" in line for line in said["algo-2"])
    model = cluster.unpacked(f"out/{name}/output/model.tar.gz")
    assert set(model) == {"weights.pt", "metadata.json"}
    assert json.loads(model["metadata.json"])["processes"] == 2
    assert "checkpoints/checkpoint.json" in cluster.keys("checkpoints/")

    again = train(cluster, CheckpointConfig=checkpoints)
    assert cluster.trained(again, 280)["TrainingJobStatus"] == "Completed"
    said = lines(cluster, again)
    assert any("resume: after epoch 2" in line for line in said["algo-1"]), said
    assert cluster.unpacked(f"out/{again}/output/model.tar.gz")["weights.pt"] == model["weights.pt"]


def test_what_one_process_cannot_do_fails_the_job_with_its_words(cluster: Jobs) -> None:
    name = train(cluster, hyperparameters={"batch_size": "1"})
    done = cluster.trained(name, 280)
    assert done["TrainingJobStatus"] == "Failed"
    assert "batch_size=1 for 2 processes; each needs an image" in done["FailureReason"]
