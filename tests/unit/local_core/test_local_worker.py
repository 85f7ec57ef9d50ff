"""The Lambda worker program and its reader agree on the mark between two invocations' logs."""

from __future__ import annotations

import queue
import re
from pathlib import Path

from pipeline.local.adapter import lambdas


def test_both_sides_name_the_same_mark() -> None:
    program = Path(lambdas.__file__).with_name("lambda_worker.py").read_text()
    found = re.search(r'^LOG_END = "(.*)"$', program, re.M)
    assert found
    assert found[1].encode().decode("unicode_escape") == lambdas.LOG_END


def test_a_log_ends_at_the_mark_even_in_an_open_line() -> None:
    lines: queue.Queue[str] = queue.Queue()
    for line in ("one", "two" + lambdas.LOG_END, "of the next invocation"):
        lines.put(line)
    assert lambdas._log(lines) == "one\ntwo"
    assert lines.qsize() == 1
