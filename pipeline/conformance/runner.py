"""Put one image through every clause."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.conformance.client import NoAnswer
from pipeline.conformance.launching import Launcher
from pipeline.conformance.model import Broken, Clause, Result, Skip
from pipeline.conformance.registry import clauses
from pipeline.conformance.session import Session
from pipeline.conformance.subject import Subject, Waits
from pipeline.conformance.training import Configure


def examine(
    subject: Subject,
    launcher: Launcher,
    configure: Configure,
    waits: Waits | None = None,
    on_result: Callable[[Result], None] = lambda _: None,
    only: Sequence[str] = (),
) -> list[Result]:
    """Every clause's result, ordered by id; `on_result` gets each as soon as it is known.

    Args:
        only: look at clauses whose ids begin so (`CT2`), and at no others; all when empty.

    Raises:
        PipelineError: the image cannot be made ready to run at all.
    """
    launcher.prepare()
    results = []
    with Session(subject, launcher, configure, waits or Waits()) as session:
        # By id: those that end the main server (4xx) come after all that ask it something.
        for each in [each for each in clauses() if not only or each.id.startswith(tuple(only))]:
            results.append(_look(each, session))
            on_result(results[-1])
    return results


def _look(clause: Clause, session: Session) -> Result:
    try:
        return Result(clause, "passed", clause.check(session))
    except Broken as broken:
        return Result(clause, "failed", broken.seen, broken.fix or clause.fix)
    except Skip as skip:
        return Result(clause, "skipped", str(skip))
    except NoAnswer as error:
        return Result(clause, "failed", str(error), clause.fix)


def failed(results: Sequence[Result], *, strict: bool) -> bool:
    """Whether a `must` does not hold; with `strict`, whether any clause does not."""
    return any(
        result.status == "failed" and (strict or result.clause.severity == "must") for result in results
    )
