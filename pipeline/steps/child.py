"""The process that renders: settings as JSON on stdin, `{"asl", "permissions", "monitor"}` on stdout.

    python -P -m pipeline.steps.child pipeline/definitions/iris/definition.py < settings.json

It alone imports the SDKs. Whatever goes wrong in a definition comes back as `{"error": ...}` with exit code
2. A definition is a pure function of its settings: the network is out of reach, and a second call of
`define` must give the same state machine.
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn, TextIO

from pipeline.errors import DefinitionError
from pipeline.steps import view

DEFINE = "def define(settings: Settings) -> Pipeline: ..."


def main(argv: list[str], stdin: TextIO) -> int:
    """Render the definition at `argv[0]`; the SDKs' own chatter on stdout goes to stderr."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    path = Path(argv[0])
    try:
        result: dict[str, Any] = render(path, view.loads(stdin.read()))
        code = 0
    except DefinitionError as error:
        result = {
            "error": {"what": error.what, "where": error.where or _place(error, path), "hint": error.hint}
        }
        code = 2
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything; it becomes a message
        what = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        result = {"error": {"what": what, "where": _place(error, path), "hint": ""}}
        code = 2
    with answer:
        json.dump(result, answer)
    return code


def render(path: Path, settings: view.Settings) -> dict[str, Any]:
    """The state machine of the definition at `path` as plain data, checked to be just that."""
    _no_network()
    module = _load(path)
    define = getattr(module, "define", None)
    if not callable(define):
        raise DefinitionError("has no function define", where=path.name, hint=f"write: {DEFINE}")
    asl = to_asl(define(settings))
    again = to_asl(define(settings))
    if asl != again:
        names = sorted(k for k, v in asl["States"].items() if again["States"].get(k) != v)
        raise DefinitionError(
            f"renders differently each time, in {', '.join(names) or 'its frame'}",
            where=path.name,
            hint="take no time, random number or order of a set into a definition",
        )
    return {
        "asl": asl,
        "permissions": list(getattr(module, "PERMISSIONS", [])),
        "monitor": _monitor(settings),
    }


def _monitor(settings: view.Settings) -> dict[str, Any] | None:
    """The second state machine, which is the same for all definitions; None without [monitor]."""
    if not settings.get("pipeline", {}).get("monitor"):
        return None
    from pipeline.steps import monitor

    return to_asl(monitor.machine(settings))


def to_asl(definition: Any) -> dict[str, Any]:
    """Plain data from a Pipeline, or from the SDK's Workflow, Graph, Chain or single state."""
    from pipeline.steps.pipeline import Pipeline
    from pipeline.steps.sdk import Chain, Graph, State

    if isinstance(definition, Pipeline):
        definition = definition.graph()
    elif isinstance(definition, (Chain, State)):
        definition = Graph(definition)
    elif not isinstance(definition, Graph):
        definition = getattr(definition, "definition", definition)  # a Workflow holds its Graph so
    if not isinstance(definition, Graph):
        raise DefinitionError(f"define returned {type(definition).__name__}, not a Pipeline", hint=DEFINE)
    asl = definition.to_dict()
    _refuse_objects(asl, "")
    plain: dict[str, Any] = json.loads(json.dumps(asl))
    _refuse_duplicates(plain, set())
    return plain


def _refuse_objects(value: Any, place: str) -> None:
    """The SDKs put what they cannot render into the state machine as a Python object, or as its repr."""
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_objects(item, f"{place}.{key}" if place else str(key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _refuse_objects(item, f"{place}[{index}]")
    elif " object at 0x" in str(value) or not isinstance(value, (str, int, float, bool, type(None))):
        raise DefinitionError(
            f"{place.removeprefix('States.')} is a Python object, {value!r:.120}",
            hint='the SDK cannot render it here; give a path in parameters=, such as {"Key.$": "$.path"}',
        )


def _refuse_duplicates(asl: dict[str, Any], seen: set[str]) -> None:
    """State names are unique in the whole machine, branches included; the SDK looks within one branch."""
    for name, state in asl.get("States", {}).items():
        if name in seen:
            raise DefinitionError(
                f"two states are named {name!r}", hint="state names are unique, branches included"
            )
        seen.add(name)
        iterators = [state.get("Iterator"), state.get("ItemProcessor")]
        for inner in [*state.get("Branches", []), *filter(None, iterators)]:
            _refuse_duplicates(inner, seen)


def _load(path: Path) -> Any:
    sys.path.insert(0, str(path.parent))  # files of the same folder, by `import helper`
    spec = importlib.util.spec_from_file_location("definition", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise DefinitionError("does not exist", where=path.name, hint=f"write: {DEFINE}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _place(error: BaseException, path: Path) -> str:
    """`definition.py:12`: the innermost line of the user's folder that took part."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).parent == path.parent]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else path.name


def _no_network() -> None:
    """Rendering needs none, and what it would read there is not in git."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise DefinitionError("a definition may not use the network", hint="put the value into settings.toml")

    socket.socket.connect = refuse  # type: ignore[method-assign]
    socket.socket.connect_ex = refuse  # type: ignore[method-assign]
    socket.getaddrinfo = refuse


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdin))
