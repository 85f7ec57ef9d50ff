"""`train`: reads its configuration and data, leaves a model, says when and why it failed."""

from __future__ import annotations

import json

from pipeline.conformance import folders, pages
from pipeline.conformance.model import Broken, Skip, clause
from pipeline.conformance.session import Session
from pipeline.conformance.training import TrainingRun

# SageMaker returns so much of /opt/ml/output/failure as FailureReason.
REASON_LIMIT = 1024


def _ran(session: Session) -> TrainingRun:
    if session.as_asked.refused:
        raise Skip("`train` cannot be executed")
    return session.trained


@clause(
    "CT101",
    "`train` reads channels in File mode from /opt/ml/input/data/NAME and exits 0",
    "must",
    pages.TRAINING_EXIT,
    "Read the failing run's last words; nothing but /opt/ml and the image's own files can be relied on.",
)
def trains(session: Session) -> str:
    run = _ran(session)
    if run.exit_code != 0:
        raise Broken(run.ended)
    return f"exit code 0 with channels {', '.join(session.subject.channels)}"


@clause(
    "CT102",
    "`train` takes hyperparameters as strings, whatever they mean",
    "must",
    pages.HYPERPARAMETERS,
    'hyperparameters.json holds {"epochs": "3"}, not 3: convert each value, as int(value).',
)
def takes_strings(session: Session) -> str:
    run = session.successful()
    if not session.subject.hyperparameters:
        raise Skip("no hyperparameters were given")
    if not run.strings:
        raise Broken(f"{session.as_asked.ended}; with numbers in hyperparameters.json it succeeds")
    return f"{len(session.subject.hyperparameters)} strings taken"


@clause(
    "CT103",
    "training leaves a model in /opt/ml/model",
    "must",
    pages.TRAINING_OUTPUT,
    "Write the model below /opt/ml/model: SageMaker makes model.tar.gz of that folder and of no other.",
)
def leaves_a_model(session: Session) -> str:
    made = folders.contents(session.successful().base / "model")
    if not made:
        raise Broken("/opt/ml/model is empty after `train` exited 0")
    return f"/opt/ml/model holds {folders.listed(sorted(made))}"


@clause(
    "CT104",
    "the model survives being packed as model.tar.gz and unpacked",
    "must",
    pages.LOAD_MODEL,
    "Leave plain files and folders in /opt/ml/model; a link must lead to something beside it, relatively.",
)
def survives_packing(session: Session) -> str:
    folder = session.successful().base / "model"
    if not any(folder.iterdir()):
        raise Skip("training left no model")
    bad = folders.unpackable(folder)
    if bad:
        raise Broken(f"lost or broken on the way: {folders.listed(bad)}")
    before, after = folders.contents(folder), folders.contents(session.model)
    lost = folders.differences(before, after)
    if lost:
        raise Broken(f"different after packing: {folders.listed(lost)}")
    return f"{len(after)} files come out as they went in"


@clause(
    "CT105",
    "`train` leaves nothing that is lost: it writes to /opt/ml/model, /opt/ml/output and /opt/ml/checkpoints",
    "should",
    pages.TRAINING_OUTPUT,
    "Write results below /opt/ml/model or /opt/ml/output/data; the rest goes with the container.",
)
def leaves_nothing_else(session: Session) -> str:
    run = session.successful()
    lost = [f"/opt/ml/{path}" for path in run.touched if not path.startswith("input/")]
    lost += run.outside or ()
    if lost:
        raise Broken(f"also written, and lost: {folders.listed(lost)}")
    return "nothing else" + (
        "" if run.outside is not None else " in /opt/ml (outside of it, only a container shows)"
    )


@clause(
    "CT106",
    "`train` leaves /opt/ml/input as it was",
    "should",
    pages.TRAINING_DATA,
    "Copy data before changing it: in FastFile mode the channels are mounted read-only.",
)
def leaves_its_input(session: Session) -> str:
    changed = [path for path in session.successful().touched if path.startswith("input/")]
    if changed:
        raise Broken(f"changed: {folders.listed([f'/opt/ml/{path}' for path in changed])}")
    return "unchanged"


@clause(
    "CT107",
    "`train` exits with a code other than 0 when it fails",
    "must",
    pages.TRAINING_EXIT,
    "Let the error end the program (sys.exit(1)): a job that exits 0 is Completed, whatever it logged.",
)
def fails_visibly(session: Session) -> str:
    run = session.untrainable
    if run.exit_code is None:
        raise Broken(f"with garbage for data {run.ended}")
    if run.exit_code == 0:
        raise Broken("every input file held garbage, and `train` exited 0")
    return f"exit code {run.exit_code} when every input file holds garbage"


@clause(
    "CT108",
    "a failing `train` writes why to /opt/ml/output/failure",
    "should",
    pages.TRAINING_OUTPUT,
    "Catch the error, write its text to /opt/ml/output/failure, then exit with a code other than 0.",
)
def says_why(session: Session) -> str:
    path = session.untrainable.base / "output" / "failure"
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise Broken("there is no /opt/ml/output/failure after a failing run") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Broken(f"/opt/ml/output/failure cannot be read as text: {error}") from None
    if not text.strip():
        raise Broken("/opt/ml/output/failure is empty")
    more = "" if len(text) <= REASON_LIMIT else f" (SageMaker shows the first {REASON_LIMIT} characters)"
    return f"FailureReason is {json.dumps(text.strip()[:100])}{more}"


@clause(
    "CT109",
    "`train` logs to stdout or stderr",
    "should",
    pages.LOGS,
    "Print progress and metrics, unbuffered (PYTHONUNBUFFERED=1): CloudWatch gets what is printed.",
)
def train_logs(session: Session) -> str:
    lines = [line for line in session.successful().lines if line.strip()]
    if not lines:
        raise Broken("`train` printed nothing")
    return f"{len(lines)} lines"
