"""Script mode: arguments and variables as SageMaker's containers give them, endings as it reads them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from script_mode import Arguments, Folders, ProgramError, StopFlag, Stopped, environment, run_program
from script_mode import arguments as hyperparameters

CONTAINERS = Path(__file__).resolve().parents[3] / "container"


def parser() -> Arguments:
    made = Arguments("A test.")
    made.whole("epochs", 20, 1, 100)
    made.number("learning_rate", 0.001, 0, 1, above=True)
    made.word("optimizer", "adam", ("adam", "sgd"))
    made.add_argument("--model_dir", default="/somewhere")
    return made


def test_hyperparameters_become_the_scripts_arguments() -> None:
    given = {
        "learning_rate": "0.01",
        "epochs": '"3"',  # as an SDK's JSON
        "offset": -1,
        "sagemaker_program": "training.py",
        "sagemaker_job_name": "a",
        "_tuning_objective_metric": "validation:log_loss",
    }
    script = hyperparameters.for_script(given)
    assert hyperparameters.command_line(script) == ["--epochs=3", "--learning_rate=0.01", "--offset=-1"]


def test_arguments_are_typed() -> None:
    values = parser().parse(["--epochs=3", "--learning_rate", "1e-2"])
    assert (values.epochs, values.learning_rate, values.optimizer) == (3, 0.01, "adam")
    assert values.model_dir == "/somewhere"


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ProgramError) as told:
        parser().parse(["--epoch=3", "--learning_rate=0", "--optimizer=adamw", "--epochs=nan"])
    assert str(told.value).splitlines() == [
        "hyperparameter epoch is unknown; did you mean epochs?",
        "hyperparameter epochs: 'nan' is not a whole number",
        "hyperparameter learning_rate: 0 is not above 0 up to 1",
        "hyperparameter optimizer: 'adamw' is not one of adam, sgd",
    ]


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1.01", "", "x"])
def test_a_number_that_is_none_or_outside_is_refused(text: str) -> None:
    with pytest.raises(ProgramError, match="hyperparameter learning_rate"):
        parser().parse([f"--learning_rate={text}"])


def test_the_variables_are_those_of_the_training_toolkit(tmp_path: Path) -> None:
    config = tmp_path / "input" / "config"
    config.mkdir(parents=True)
    channels = {"train": {"TrainingInputMode": "File"}, "validation": {"TrainingInputMode": "File"}}
    (config / "inputdataconfig.json").write_text(json.dumps(channels))
    resources = {"current_host": "algo-2", "hosts": ["algo-1", "algo-2"], "network_interface_name": "eth1"}
    (config / "resourceconfig.json").write_text(json.dumps(resources))
    found = environment.variables(Folders(tmp_path), {"epochs": "3"}, ["--epochs=3"], "training")
    assert found["SM_MODEL_DIR"] == f"{tmp_path}/model"
    assert found["SM_OUTPUT_DATA_DIR"] == f"{tmp_path}/output/data"
    assert found["SM_CHANNEL_TRAIN"] == f"{tmp_path}/input/data/train"
    assert json.loads(found["SM_CHANNELS"]) == ["train", "validation"]
    assert json.loads(found["SM_HPS"]) == {"epochs": "3"}
    assert (found["SM_HP_EPOCHS"], found["SM_CURRENT_HOST"]) == ("3", "algo-2")
    assert json.loads(found["SM_HOSTS"]) == ["algo-1", "algo-2"]
    assert json.loads(found["SM_USER_ARGS"]) == ["--epochs=3"]
    assert found["SM_USER_ENTRY_POINT"] == "training.py"


def test_without_configuration_the_folders_are_the_channels(tmp_path: Path) -> None:
    (tmp_path / "input" / "data" / "images").mkdir(parents=True)
    found = environment.variables(Folders(tmp_path), {}, [], "training")
    assert found["SM_CHANNEL_IMAGES"] == f"{tmp_path}/input/data/images"
    assert json.loads(found["SM_HOSTS"]) == [found["SM_CURRENT_HOST"]]


def test_threads_are_the_least_that_anybody_allows() -> None:
    most = environment.available_processors()
    assert environment.threads({}) == most
    assert environment.threads({"SM_NUM_CPUS": "1"}) == 1
    assert environment.threads({"SM_NUM_CPUS": "999", "OMP_NUM_THREADS": "0"}) == most


def failing(text: str) -> None:
    raise ProgramError(text)


def test_a_reason_is_kept_where_sagemaker_reads_it(tmp_path: Path) -> None:
    reason = tmp_path / "output" / "failure"
    assert run_program(lambda: failing("x" * 2000), reason) == 1
    assert reason.read_text() == "x" * 1024
    reason.unlink()
    assert run_program(lambda: None, reason) == 0
    assert run_program(lambda: sys.exit(0), reason) == 0
    assert not reason.exists()
    assert run_program(lambda: sys.exit("no data"), reason) == 1
    assert reason.read_text() == "no data"
    assert run_program(lambda: sys.exit(3), reason) == 1
    assert reason.read_text() == "the program ended with exit code 3"


def test_being_stopped_is_no_failure(tmp_path: Path) -> None:
    def stopped() -> None:
        raise Stopped("stopped by SIGTERM")

    assert run_program(stopped, tmp_path / "failure") == 143
    assert not (tmp_path / "failure").exists()
    flag = StopFlag()
    flag.check()
    flag.is_set = True
    with pytest.raises(Stopped):
        flag.check()


SCRIPT = """
import argparse, json, os, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--model_dir", default=os.environ["SM_MODEL_DIR"])
args = parser.parse_args()
if __name__ == "__main__":
    if args.epochs == 0:
        raise ValueError("no epochs")
    pathlib.Path(args.model_dir).mkdir(parents=True)
    pathlib.Path(args.model_dir, "seen").write_text(json.dumps([args.epochs, os.environ["OMP_NUM_THREADS"]]))
"""


@pytest.mark.parametrize("epochs", ["3", "0"])
def test_a_plain_script_is_the_training_program(tmp_path: Path, epochs: str) -> None:
    """What runs under SageMaker's own TensorFlow container runs here: argparse, SM_*, `__main__`."""
    (tmp_path / "training.py").write_text(SCRIPT)
    (tmp_path / "train").write_text("import sys\nfrom script_mode import main\nsys.exit(main('training'))\n")
    config = tmp_path / "ml" / "input" / "config"
    config.mkdir(parents=True)
    (config / "hyperparameters.json").write_text(json.dumps({"epochs": epochs, "sagemaker_region": "x"}))
    done = subprocess.run(
        [sys.executable, str(tmp_path / "train")],
        env={**os.environ, "PYTHONPATH": str(CONTAINERS), "SAGEMAKER_BASE_DIR": str(tmp_path / "ml")}
        | {"SM_NUM_CPUS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    seen, reason = tmp_path / "ml" / "model" / "seen", tmp_path / "ml" / "output" / "failure"
    if epochs == "3":
        assert done.returncode == 0, done.stderr
        assert json.loads(seen.read_text()) == [3, "1"]
        assert not reason.exists()
    else:
        assert done.returncode == 1
        assert reason.read_text() == "ValueError: no epochs"
