"""The one line that says why a script failed, as Glue's ErrorMessage has it. Pure."""

from __future__ import annotations

import re

LONGEST = 2000
_CAUSED = re.compile(r"^\s*Caused by: (.*)$", re.MULTILINE)
_JAVA = re.compile(r"^(?:[a-z_][\w$]*\.)+([A-Z][\w$]*)(?::\s*|$)")
_PLACE = re.compile(r"\bs3a?://")
_PYTHON = "Traceback (most recent call last)"
_OOM = re.compile(r"OutOfMemoryError|Java heap space|GC overhead limit exceeded|MemoryError")
# What only says that something else failed.
_WRAPPERS = ("Job aborted", "Writing job aborted", "Task failed while writing rows", "[TASK_WRITE_FAILED]")


def one_line(text: str) -> str:
    """`text` with every run of white space as one blank, cut to LONGEST."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def short(java: str) -> str:
    """`java.lang.OutOfMemoryError: x` as `OutOfMemoryError: x`."""
    match = _JAVA.match(java)
    if not match:
        return java
    rest = java[match.end() :]
    return f"{match[1]}: {rest}" if rest else match[1]


def of_java(text: str) -> str:
    """The cause in a Java stack trace: the deepest one, after the one that names the file if it does not."""
    causes = [short(each.strip()) for each in _CAUSED.findall(text)]
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    if first.startswith("org.apache.spark.SparkException: Job aborted due to stage failure"):
        # `... Lost task 0.0 in stage 1.0 (TID 1) (host executor driver): java.x.Y: message`
        lost = re.search(r"executor \w+\): (.*)", first)
        first = lost[1].strip() if lost else first
    if not causes:
        return short(first)
    if _PLACE.search(causes[-1]):
        return causes[-1]
    named = [each for each in (short(first), *causes) if _PLACE.search(each)]
    return f"{named[-1]} ({causes[-1]})" if named else causes[-1]


def of_exception(kind: str, text: str, java: str = "") -> str:
    """`AnalysisException: Path does not exist: s3://...`.

    Args:
        kind: the Python exception's class name.
        text: its text.
        java: the stack trace of the Java exception behind it, if any.
    """
    if java:
        cause = of_java(java)
        called = re.match(r"An error occurred while calling ([\w.$]*\w)", text)
        name = cause.partition(":")[0]
        if called and kind == "Py4JJavaError":
            return one_line(f"An error occurred while calling {called[1]}. {cause}")
        plain = text.split("JVM stacktrace:")[0].strip()
        if _PYTHON in plain:  # of a Python function that Spark called: its own last line says why
            return one_line(f"{kind}: {plain.splitlines()[-1]}")
        if plain.startswith(_WRAPPERS) or not plain:
            return one_line(cause)
        said = next(iter(plain.splitlines()), "")
        same = name == kind or cause.partition(": ")[2][:60] in plain
        return one_line(f"{kind}: {said}" if same else f"{kind}: {said} ({cause})")
    said = text.strip()
    return one_line(f"{kind}: {said}" if said else kind)


def of_memory(text: str) -> bool:
    """Whether a cause is want of memory."""
    return bool(_OOM.search(text))


def of_signal(what: str, number: int) -> str:
    """`the Spark driver was killed (signal 9)`."""
    return f"the {what} was killed (signal {number})"
