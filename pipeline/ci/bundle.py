"""The plan of a pull request as an artifact: three files, a digest over each, and nothing believed unread.

`plan.json` is what was planned, `report.md` what people read, `bundle.json` says which commit, pipeline and
environment they are of. A bundle may come from code that nobody reviewed, so reading one checks names, sizes,
types and digests, and takes nothing from it that the forge can say.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ApplyError

FORMAT = 1
PLAN, REPORT, BUNDLE = "plan.json", "report.md", "bundle.json"
# Larger than any plan; small enough that an archive cannot fill a disk.
LIMITS = {PLAN: 20_000_000, REPORT: 1_000_000, BUNDLE: 20_000}
_NAME = re.compile(r"[a-z][a-z0-9_-]{1,30}")
_HEX = re.compile(r"[0-9a-f]{64}")
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_FIELDS: dict[str, type] = {
    "format": int,
    "pipeline": str,
    "environment": str,
    "head": str,
    "digest": str,
    "changes": bool,
    "offline": bool,
    "failed": bool,
    "files": dict,
}


@dataclass(frozen=True)
class Bundle:
    """What a plan's artifact holds.

    Args:
        head: the commit that was planned, as a person pushed it.
        digest: the plan's own; empty for an offline or failed one.
        offline: made without credentials, from the repository alone.
        failed: there is no plan; the report says why.
        files: name -> sha256.
    """

    pipeline: str
    environment: str
    head: str
    digest: str
    changes: bool
    offline: bool
    failed: bool
    files: dict[str, str]
    report: str = ""
    plan: bytes = b""


def artifact_name(pipeline: str, environment: str) -> str:
    """Name of the artifact a bundle travels in."""
    return f"plan-{pipeline}-{environment}"


def write(folder: Path, bundle: Bundle) -> None:
    """Write the files and their digests; a plan that is no part of the bundle does not stay."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {REPORT: bundle.report.encode()}
    if bundle.plan:
        files[PLAN] = bundle.plan
    body = {"format": FORMAT, **asdict(bundle), "files": {n: _sha256(c) for n, c in files.items()}}
    for left_out in ("report", "plan"):
        body.pop(left_out)
    files[BUNDLE] = json.dumps(body, indent=2, sort_keys=True).encode() + b"\n"
    for name, content in files.items():
        (folder / name).write_bytes(content)
    # The folder is what travels: an offline plan left in it would break the seal.
    for name in LIMITS.keys() - files.keys():
        (folder / name).unlink(missing_ok=True)


def unpack(archive: bytes, where: str) -> Bundle:
    """Read a downloaded artifact.

    Raises:
        ApplyError: not a bundle as `write` makes one.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as packed:
            entries = packed.infolist()
            names = [entry.filename for entry in entries]
            if len(set(names)) != len(names) or not set(names) <= set(LIMITS):
                raise _bad(f"holds {', '.join(sorted(names)[:5])}", where)
            files: dict[str, bytes] = {}
            for entry in entries:
                # The header may lie about the size, so no more than the limit is ever unpacked.
                with packed.open(entry) as stream:
                    files[entry.filename] = stream.read(LIMITS[entry.filename] + 1)
                if len(files[entry.filename]) > LIMITS[entry.filename]:
                    raise _bad(f"{entry.filename} is larger than {LIMITS[entry.filename]} bytes", where)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise _bad(f"is not an archive: {error}", where) from error
    return _read(files, where)


def _read(files: dict[str, bytes], where: str) -> Bundle:
    try:
        data = json.loads(files[BUNDLE])
    except (KeyError, ValueError, RecursionError) as error:
        raise _bad(f"{BUNDLE} is missing or not JSON", where) from error
    _check(data, where)
    told: dict[str, str] = data["files"]
    if {name: _sha256(content) for name, content in files.items() if name != BUNDLE} != told:
        raise _bad("its files are not those it was sealed with", where)
    try:
        report = files.get(REPORT, b"").decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad(f"{REPORT} is not UTF-8", where) from error
    fields = {key: value for key, value in data.items() if key != "format"}
    return Bundle(**fields, report=report, plan=files.get(PLAN, b""))


def _check(data: Any, where: str) -> None:
    if not isinstance(data, dict) or set(data) != set(_FIELDS):
        raise _bad(f"{BUNDLE} has other fields than a bundle's", where)
    for key, kind in _FIELDS.items():
        if type(data[key]) is not kind:
            raise _bad(f"{key} is no {kind.__name__}", where)
    if data["format"] != FORMAT:
        raise _bad(f"format {data['format']} is not known here", where)
    good = (
        _NAME.fullmatch(data["pipeline"])
        and _NAME.fullmatch(data["environment"])
        and _SHA.fullmatch(data["head"])
        and (_HEX.fullmatch(data["digest"]) or (data["digest"] == "" and (data["offline"] or data["failed"])))
        and all(
            n in (PLAN, REPORT) and isinstance(d, str) and _HEX.fullmatch(d) for n, d in data["files"].items()
        )
    )
    if not good:
        raise _bad(f"{BUNDLE} has a value that none of its fields can have", where)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _bad(what: str, where: str) -> ApplyError:
    return ApplyError(f"this artifact is not a plan of ours: {what}", where=where)
