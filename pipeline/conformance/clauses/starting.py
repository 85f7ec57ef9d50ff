"""The image has the programs that SageMaker starts."""

from __future__ import annotations

from pipeline.conformance import pages
from pipeline.conformance.model import Broken, clause
from pipeline.conformance.session import Session

_FIX = (
    "Put an executable file named `{0}` on the image's PATH, with an interpreter in its first line (#!) that "
    "the image has: chmod +x {0}"
)


@clause("CT001", "`train` can be executed", "must", pages.TRAINING_IMAGE, _FIX.format("train"))
def train_executes(session: Session) -> str:
    if session.as_asked.refused:
        raise Broken(session.as_asked.refused)
    return "it runs"


@clause("CT002", "`serve` can be executed", "must", pages.RUN_IMAGE, _FIX.format("serve"))
def serve_executes(session: Session) -> str:
    if session.main.process.refused:
        raise Broken(session.main.process.refused)
    return "it runs"
