"""What was said of a run's data, in words. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

KEY = "quality"


def sentence(quality: Mapping[str, Any]) -> str:
    """The verdict in one sentence; "" where there is none."""
    if "passed" not in quality:
        return ""
    noted = f"; told: {quality['notes']}" if quality.get("notes") else ""
    return f"data {'passed' if quality['passed'] else 'rejected'}: {quality.get('reason', '')}{noted}"


def checked(output: str) -> dict[str, Any]:
    """`$.run` in an execution's output: what was said of its data at the start; empty where there is none."""
    return _table(output, "run")


def decided(output: str) -> dict[str, Any]:
    """`$.quality` in a state's or an execution's output; empty where there is none."""
    return _table(output, KEY)


def _table(output: str, key: str) -> dict[str, Any]:
    try:
        data = json.loads(output)
    except ValueError:
        return {}
    found = data.get(key) if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}
