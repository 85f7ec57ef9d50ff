"""Runs a Glue script as its own main program and leaves word of why it failed.

    python bootstrap.py CAUSE_FILE SCRIPT [ARGUMENT ...]

The script sees what it sees on Glue: its own name and arguments in sys.argv, its folder on sys.path.
"""

from __future__ import annotations

import json
import runpy
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

TERMINATED = 128 + signal.SIGTERM
_LAST_SECONDS = 10


def main(report: Path, script: str, arguments: list[str]) -> int:
    """Run `script`; its exit code. Writes `report` (JSON: cause, oom) when it failed."""
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    sys.path.insert(0, str(Path(script).parent))
    sys.argv[:] = [script, *arguments]
    signal.signal(signal.SIGTERM, _terminate)
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        code = _code(end)
        if code not in (0, TERMINATED):
            said = str(end.code) if not isinstance(end.code, int) else f"exit code {end.code}"
            _write(report, f"SystemExit: {said}", oom=False)
        return code
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is why the script failed
        _print(error, script)
        gone = _spark_gone()
        text = gone or _cause(error)
        # A driver that ends itself for want of memory says so on its standard output, not to Python.
        _write(report, text, oom=_cause_module().of_memory(text))
        return 1
    finally:
        _stop_spark()
    return 0


def _terminate(_number: int, _frame: FrameType | None) -> None:
    # So that Spark's own clean-up runs: temporary files of a job in progress, uploads never finished.
    raise SystemExit(TERMINATED)


def _code(end: SystemExit) -> int:
    if end.code is None:
        return 0
    return end.code & 0xFF if isinstance(end.code, int) else 1


def _cause_module() -> Any:
    # By path: nothing of ours may stand in the way of the script's own imports.
    module = sys.modules.get("_pipeline_cause")
    if module is None:
        import importlib.util

        spec = importlib.util.spec_from_file_location("_pipeline_cause", Path(__file__).with_name("cause.py"))
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules["_pipeline_cause"] = module
        spec.loader.exec_module(module)
    return module


def _cause(error: BaseException) -> str:
    cause = _cause_module()
    java = ""
    text = str(error)
    if hasattr(error, "java_exception"):  # py4j's, whose text is the whole trace
        java = text.partition("\n: ")[2]
    elif hasattr(error, "desc"):  # pyspark's captured exceptions
        text = str(error.desc or "")
        java = str(getattr(error, "_stackTrace", None) or getattr(error, "stackTrace", None) or "")
        nested = getattr(error, "cause", None)
        if nested is not None and not cause._CAUSED.search(java):
            java = f"{java}\nCaused by: {nested.desc}" if getattr(nested, "desc", None) else java
    return str(cause.of_exception(type(error).__name__, text, java))


def _spark_gone() -> str:
    """How the Java process ended, when it has; else empty."""
    context = getattr(sys.modules.get("pyspark"), "SparkContext", None)
    gateway = getattr(context, "_gateway", None)
    process = getattr(gateway, "proc", None)
    if process is None:
        return ""
    try:
        code = process.wait(timeout=0.5)
    except Exception:  # noqa: BLE001 - it runs, so it is not why
        return ""
    if code < 0:
        return str(_cause_module().of_signal("Spark driver", -code))
    return f"the Spark driver ended by itself (exit code {code})"


def _stop_spark() -> None:
    context = getattr(sys.modules.get("pyspark"), "SparkContext", None)
    active = getattr(context, "_active_spark_context", None)
    if active is not None:
        try:
            active.stop()
        except BaseException as error:  # noqa: BLE001 - the script's own end is what counts
            print(f"Spark could not be stopped: {error}", file=sys.stderr)
    process = getattr(getattr(context, "_gateway", None), "proc", None)
    if process is not None and process.stdin is not None:
        # Java ends when this closes, and gives up what was never finished; it is killed at our own end.
        try:
            process.stdin.close()
            process.wait(timeout=_LAST_SECONDS)
        except Exception as error:  # noqa: BLE001 - as above
            print(f"Spark did not end: {error}", file=sys.stderr)


def _print(error: BaseException, script: str) -> None:
    """The traceback as Python prints it, from the script on."""
    frames = traceback.TracebackException.from_exception(error)
    own = [index for index, frame in enumerate(frames.stack) if frame.filename == script]
    if own:
        frames.stack = traceback.StackSummary.from_list(frames.stack[own[0] :])
    print("".join(frames.format()), end="", file=sys.stderr, flush=True)


def _write(report: Path, text: str, *, oom: bool) -> None:
    report.write_text(json.dumps({"cause": text, "oom": oom}), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
