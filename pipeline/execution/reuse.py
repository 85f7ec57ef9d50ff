"""What a run made anew and what it used instead, in words. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# The blocks of pipeline.steps by the name of their results.
_BLOCKS = {"training": "Train", "evaluation": "Evaluate"}


def decided(output: str) -> dict[str, Any]:
    """`$.reuse` in a state's or an execution's output; empty where there is none."""
    try:
        data = json.loads(output)
    except ValueError:
        return {}
    found = data.get("reuse") if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}


def sentences(reuse: Mapping[str, Any]) -> list[str]:
    """One for each step that could have been skipped: `Train skipped: why`, or `Train runs: why`.

    Steps of one fate and one reason share a sentence. A model that was named is one by itself.
    """
    fates: dict[tuple[bool, str], list[str]] = {}
    for name, decision in reuse.items():
        if name != "model":
            fate = (bool(decision.get("reuse")), str(decision.get("why", "")))
            title = "".join(part.title() for part in name.split("_"))
            fates.setdefault(fate, []).append(_BLOCKS.get(name, title))
    said = [
        f"{', '.join(names)} {'skipped' if skipped else 'run' if len(names) > 1 else 'runs'}: {why}"
        for (skipped, why), names in fates.items()
    ]
    model = reuse.get("model") or {}
    if not said and model.get("reuse"):
        said.append(f"an existing model: {model.get('why', '')}")
    return said
