"""What a verdict on data says, for people and for the registry's metadata. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

# Rules that are named one by one in the run's data; the report has all of them.
MOST = 20
# A Fail state's cause takes 32,768 characters, a Slack section 3,000; a sentence of a reason a few lines.
LONGEST_REASON = 2000
LONGEST_SENTENCE = 400
# One value of a model package's metadata, of letters, digits, spaces and _.:/=+-@ alone.
LONGEST_METADATA = 256


def sentence(check: Mapping[str, Any]) -> str:
    """One result: where, what was measured, what is allowed, an example, where the quarantine lies."""
    where = "/".join(part for part in (check["transform"], check["frame"]) if part)
    kept = f"; bad rows: {check['quarantine']}" if check["quarantine"] and _about_rows(check) else ""
    text = f"{where}: {check['why']}" if where else check["why"]
    return cut(re.sub(r"\s+", " ", text), LONGEST_SENTENCE) + kept


def reason(checks: Sequence[Mapping[str, Any]]) -> str:
    """All that is over its limit, in one text."""
    return cut("; ".join(sentence(check) for check in checks), LONGEST_REASON)


def passed(checks: Sequence[Mapping[str, Any]], baseline: str) -> str:
    """That all is well, and what that says."""
    said = [f"{len(checks)} rules hold"]
    for check in checks:
        where = f"{check['transform']}/{check['frame']}" if check["transform"] else check["frame"]
        if check["rule"] == "rows":
            said.append(f"{where} {check['measured']:,} rows")
        elif check["rule"] == "bad_rows" and check["measured"]:
            said.append(f"{where} {check['measured']:,} bad rows, within the limit, in {check['quarantine']}")
    if baseline:
        said.append(f"compared with {baseline}" if baseline.startswith("the ") else baseline)
    return cut("; ".join(said), LONGEST_REASON)


def summary(
    checks: Sequence[Mapping[str, Any]], failed: Sequence[Any], noted: Sequence[Mapping[str, Any]]
) -> str:
    """For the metadata: `rules=12 failed=0 train=800 bad=3`."""
    parts = [f"rules={len(checks)} failed={len(failed)}"]
    parts += [f"noted={len(noted)}"] if noted else []
    for check in checks:
        if check["rule"] in ("rows", "bad_rows"):
            label = check["frame"] if check["rule"] == "rows" else f"{check['frame']}.bad"
            parts.append(f"{label}={check['measured']}")
    return re.sub(r"[^\w .:/=+@-]", "_", " ".join(parts))[:LONGEST_METADATA].strip()


def cut(text: str, limit: int) -> str:
    """The text, shortened visibly."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _about_rows(check: Mapping[str, Any]) -> bool:
    """Whether the quarantine holds what the rule is about."""
    return isinstance(check["measured"], int) and check["rule"] not in ("rows", "leakage.keys")
