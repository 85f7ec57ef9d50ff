"""Processing jobs on a real local target, through boto3."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipeline.local.sagemaker import validation
from tests.e2e.local_jobs.conftest import ALLOWED, BUCKET, Jobs


def source(name: str, uri: str, **changes: Any) -> dict[str, Any]:
    about = {
        "S3Uri": uri,
        "LocalPath": f"/opt/ml/processing/{name}",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    return {"InputName": name, "S3Input": about | changes}


def target(name: str, uri: str, mode: str = "EndOfJob") -> dict[str, Any]:
    about = {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/{name}", "S3UploadMode": mode}
    return {"OutputName": name, "S3Output": about}


def test_a_job_reads_inputs_and_stores_outputs(jobs: Jobs) -> None:
    jobs.put("pi/model.tar.gz", "model")
    jobs.put("pi/test/a.csv", "1")
    manifest = jobs.put("pi/manifest", json.dumps([{"prefix": f"s3://{BUCKET}/pi/"}, "test/a.csv"]))
    name = jobs.process(
        """
here = ML/"processing"
print((here/"model/model.tar.gz").read_text(), (here/"test/test/a.csv").read_text())
config = json.loads((ML/"config/processingjobconfig.json").read_text())
print(config["ProcessingJobName"], config["Environment"])
print(config["ProcessingInputs"][0]["S3Input"]["LocalPath"])
print(json.loads((ML/"config/resourceconfig.json").read_text())["hosts"], os.environ["GREETING"])
(here/"evaluation/deep").mkdir()
(here/"evaluation/deep/evaluation.json").write_text("{}")
(here/"evaluation/link").symlink_to("/etc/passwd")
(ML/"output/message").write_text("all is well")
""",
        ProcessingInputs=[
            source("model", f"s3://{BUCKET}/pi/model.tar.gz"),
            source("test", manifest, S3DataType="ManifestFile"),
        ],
        ProcessingOutputConfig={"Outputs": [target("evaluation", f"s3://{BUCKET}/po/run")]},
        Environment={"GREETING": "hello"},
    )
    done = jobs.processed(name)
    assert done["ProcessingJobStatus"] == "Completed", done.get("FailureReason")
    assert done["ExitMessage"] == "all is well"
    assert done["CreationTime"] <= done["ProcessingStartTime"] <= done["ProcessingEndTime"]
    assert jobs.keys("po/run") == ["po/run/deep/evaluation.json"]
    assert jobs.logged(name, "Processing") == [
        "model 1",
        f"{name} {{'GREETING': 'hello'}}",
        "/opt/ml/processing/model",
        "['algo-1'] hello",
    ]
    answer = {key: value for key, value in done.items() if key != "ResponseMetadata"}
    assert validation.faults("DescribeProcessingJob", answer) == []


def test_a_program_that_ends_badly_stores_no_outputs(jobs: Jobs) -> None:
    done = jobs.processed(
        jobs.process(
            "(ML/'processing/o/x').write_text('x'); (ML/'output/message').write_text('no rows'); sys.exit(4)",
            ProcessingOutputConfig={"Outputs": [target("o", f"s3://{BUCKET}/bad")]},
        )
    )
    assert (done["ProcessingJobStatus"], done["FailureReason"]) == (
        "Failed",
        "AlgorithmError: , exit code: 4",
    )
    assert done["ExitMessage"] == "no rows"
    assert jobs.keys("bad") == []


def test_a_message_that_is_not_utf8_fails_the_job(jobs: Jobs) -> None:
    done = jobs.processed(jobs.process("(ML/'output/message').write_bytes(b'caf\\xe9 au lait')"))
    assert done["FailureReason"] == "ClientError: The content of /opt/ml/output/message is not UTF-8 encoded."


def test_stop_and_limit(jobs: Jobs) -> None:
    name = jobs.process("print('ready'); time.sleep(60)")
    jobs.wait_for(name, "ready", "Processing")
    jobs.client("sagemaker").stop_processing_job(ProcessingJobName=name)
    assert jobs.processed(name)["ProcessingJobStatus"] == "Stopped"
    name = jobs.process("signal.signal(15, signal.SIG_IGN); time.sleep(60)", seconds=1)
    assert jobs.processed(name)["ProcessingJobStatus"] == "Stopped"
    assert jobs.children() == []
    with pytest.raises(ClientError, match="is in status Stopped"):
        jobs.client("sagemaker").stop_processing_job(ProcessingJobName=name)


def test_continuous_outputs_come_while_it_runs(jobs: Jobs) -> None:
    name = jobs.process(
        "(ML/'processing/o/part').write_text('x'); time.sleep(60)",
        ProcessingOutputConfig={"Outputs": [target("o", f"s3://{BUCKET}/live", "Continuous")]},
    )
    deadline = time.monotonic() + 15
    while jobs.keys("live") != ["live/part"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    jobs.client("sagemaker").stop_processing_job(ProcessingJobName=name)
    jobs.processed(name)


def test_the_role_and_the_data_decide(jobs: Jobs) -> None:
    done = jobs.processed(jobs.process("pass", ProcessingInputs=[source("x", f"s3://{BUCKET}/nowhere")]))
    assert done["FailureReason"].startswith(
        f'ClientError: Data download failed:Failed to download data. No S3 objects found under S3 URL "s3://{BUCKET}'
    )
    mute = jobs.make_role("processing-no-write", ALLOWED[1], ALLOWED[2])
    done = jobs.processed(
        jobs.process(
            "(ML/'processing/o/x').write_text('x')",
            RoleArn=mute,
            ProcessingOutputConfig={"Outputs": [target("o", f"s3://{BUCKET}/denied")]},
        )
    )
    assert done["FailureReason"].startswith("ClientError: Artifact upload failed:Error 7: AccessDenied (403)")
    with pytest.raises(ClientError, match="Could not assume role"):
        jobs.process("pass", RoleArn="arn:aws:iam::111122223333:role/nobody")
    with pytest.raises(ClientError, match="Could not find requested job with name: nobody"):
        jobs.client("sagemaker").describe_processing_job(ProcessingJobName="nobody")


def test_without_entrypoint_the_image_decides(jobs: Jobs) -> None:
    done = jobs.processed(jobs.process("", AppSpecification={"ImageUri": jobs.image}))
    assert done["ProcessingJobStatus"] == "Failed"
    assert done["FailureReason"].startswith("ClientError: No command specified")
    done = jobs.processed(
        jobs.process("", AppSpecification={"ImageUri": jobs.image, "ContainerArguments": ["nothing"]})
    )
    assert done["FailureReason"] == "AlgorithmError: , exit code: 127"


def test_list_and_names(jobs: Jobs) -> None:
    name = jobs.process("pass")
    jobs.processed(name)
    sagemaker = jobs.client("sagemaker")
    found = sagemaker.list_processing_jobs(NameContains=name, StatusEquals="Completed")
    assert [each["ProcessingJobName"] for each in found["ProcessingJobSummaries"]] == [name]
    with pytest.raises(sagemaker.exceptions.ResourceInUse, match="Job name must be unique"):
        jobs.process("pass", ProcessingJobName=name)
    sagemaker.delete_processing_job(ProcessingJobName=name)
    assert sagemaker.list_processing_jobs(NameContains=name)["ProcessingJobSummaries"] == []
