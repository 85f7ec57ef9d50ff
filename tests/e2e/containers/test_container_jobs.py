"""Jobs in containers: limits, ends, isolation, what is left; the same model as out of a process."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from pipeline.image import engine as engines
from pipeline.local import down, processes
from pipeline.local.runner import Program, run_job
from pipeline.local.runner.container import ContainerRunner, Reference
from pipeline.local.sagemaker.jobs import failure
from tests.e2e.containers.conftest import Containers, variables
from tests.e2e.local_core.conftest import until

MODEL = """
import hashlib
data = (ML / "input/data/train/rows.csv").read_bytes()
(ML / "model/model.json").write_text(json.dumps({"rows": hashlib.sha256(data).hexdigest(), "seed": 7}))
"""


def test_a_job_runs_in_a_container_and_says_so(containers: Containers) -> None:
    name = containers.train("print(os.getpid(), sys.argv[0]); open(ML/'model/m','w')")
    found = containers.trained(name)
    assert found["TrainingJobStatus"] == "Completed", found
    messages = [each["StatusMessage"] for each in found["SecondaryStatusTransitions"]]
    assert any("container runner" in message for message in messages)
    assert containers.logged(name) == ["1 /opt/program/train"]  # process 1, as on AWS
    assert containers.running() == []


def test_the_same_job_gives_the_same_model_in_both_runners(containers: Containers) -> None:
    uri = containers.put("both/train/rows.csv", "1,2,3\n4,5,6\n")
    models = []
    for runner in ("container", "process"):
        if runner == "process":
            down(containers.root)
        with variables({"PIPELINE_LOCAL_RUNNER": runner}):
            containers.again()
            name = containers.train(MODEL, InputDataConfig=[containers.channel("train", uri)])
            found = containers.trained(name)
            assert found["TrainingJobStatus"] == "Completed", found
            messages = [each["StatusMessage"] for each in found["SecondaryStatusTransitions"]]
            assert any(f"{runner} runner" in message for message in messages)
            models.append(containers.unpacked(f"out/{name}/output/model.tar.gz"))
            if runner == "process":
                down(containers.root)
    containers.again()
    assert models[0] == models[1]
    assert list(models[0]) == ["model.json"]


def test_a_programs_failure_is_the_jobs(containers: Containers) -> None:
    name = containers.train("(ML/'output/failure').write_text('no rows'); sys.exit(9)")
    assert containers.trained(name)["FailureReason"] == "AlgorithmError: no rows, exit code: 9"


def test_a_program_that_uses_up_its_memory_is_told_apart(containers: Containers, tmp_path: Path) -> None:
    # By the runner itself: the smallest instance type has 4 GiB, which take long to fill.
    base = containers.engine.variables["PIPELINE_BASE_IMAGE"]
    runner = ContainerRunner(tmp_path, engines.find, lambda _: Reference(base, {}))
    program = Program(
        name="eater",
        image=tmp_path,
        command=("python3", "-c", "held = [b'x' * (8 << 20) for _ in range(30)]"),
        base=tmp_path / "ml",
        scratch=tmp_path / "scratch",
        environment={},
        memory=64 << 20,
    )
    program.base.mkdir()
    lines: list[str] = []
    outcome = run_job(program, lines.append, runner=runner)
    assert (outcome.exit_code, outcome.oom, outcome.because) == (137, True, "exited")
    assert lines == ["The container was killed: out of memory (its instance type has 0.1 GiB)"]
    said = failure.ended_badly(outcome).reason
    assert said == "AlgorithmError: The container was killed: out of memory, exit code: 137"


def test_the_instance_types_memory_is_the_limit(containers: Containers) -> None:
    name = containers.train(
        "print(open('/sys/fs/cgroup/memory/memory.limit_in_bytes'"
        " if os.path.exists('/sys/fs/cgroup/memory') else '/sys/fs/cgroup/memory.max').read().strip())",
        ResourceConfig={"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1},
    )
    assert containers.trained(name)["TrainingJobStatus"] == "Completed"
    assert containers.logged(name) == [str(4 << 30)]


def test_a_stop_is_a_sigterm_and_then_a_sigkill(containers: Containers) -> None:
    polite = "signal.signal(signal.SIGTERM, lambda *_: sys.exit((ML/'model/kept').write_text('x') and 0))"
    for do, kept in (f"{polite}\nprint('up'); time.sleep(60)", True), ("print('up'); time.sleep(60)", False):
        name = containers.train(do)
        containers.wait_for(name, "up")
        containers.client("sagemaker").stop_training_job(TrainingJobName=name)
        assert containers.trained(name)["TrainingJobStatus"] == "Stopped"
        # Without a handler process 1 is deaf to SIGTERM, and ends by SIGKILL.
        assert containers.keys(f"out/{name}/") == ([f"out/{name}/output/model.tar.gz"] if kept else [])
    assert containers.running() == []


def test_an_isolated_job_has_no_network(containers: Containers) -> None:
    do = "print(sorted(os.listdir('/sys/class/net')), 'AWS_ENDPOINT_URL' in os.environ)"
    name = containers.train(do, EnableNetworkIsolation=True)
    assert containers.trained(name)["TrainingJobStatus"] == "Completed"
    assert containers.logged(name) == ["['lo'] False"]


def test_processing_replaces_the_entrypoint_and_files_go_both_ways(containers: Containers) -> None:
    uri = containers.put("processing/in/a.txt", "hello")
    name = containers.process(
        "p=ML/'processing'; (p/'out/b.txt').write_text((p/'in/a.txt').read_text().upper())",
        ProcessingInputs=[
            {
                "InputName": "in",
                "S3Input": {
                    "S3Uri": uri.rpartition("/")[0],
                    "LocalPath": "/opt/ml/processing/in",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
        ],
        ProcessingOutputConfig={
            "Outputs": [
                {
                    "OutputName": "out",
                    "S3Output": {
                        "S3Uri": uri.rpartition("/")[0].replace("/in", "/out"),
                        "LocalPath": "/opt/ml/processing/out",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
    )
    assert containers.processed(name)["ProcessingJobStatus"] == "Completed"
    assert containers.get("processing/out/b.txt") == b"HELLO"


def test_a_killed_servers_containers_are_removed_by_the_next(containers: Containers) -> None:
    name = containers.train("print('up'); time.sleep(300)")
    containers.wait_for(name, "up")
    assert len(containers.running()) == 1
    os.kill(containers.up.pid, signal.SIGKILL)
    until(lambda: processes.start_time(containers.up.pid) is None)
    containers.again()
    assert containers.running() == []
    found = containers.trained(name)
    assert found["TrainingJobStatus"] == "Failed"
    # What was pushed is still there, and runs.
    again = containers.train("print('again')")
    assert containers.trained(again)["TrainingJobStatus"] == "Completed"
