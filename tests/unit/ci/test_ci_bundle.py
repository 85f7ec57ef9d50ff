"""A plan's artifact: what is written can be read, and nothing else can."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from pipeline.ci import bundle
from pipeline.ci.bundle import Bundle
from pipeline.errors import ApplyError

HEAD, DIGEST = "a" * 40, "d" * 64


def made(**more: object) -> Bundle:
    data = {
        "pipeline": "iris",
        "environment": "staging",
        "head": HEAD,
        "digest": DIGEST,
        "changes": True,
        "offline": False,
        "failed": False,
        "files": {},
        "report": "# Plan\n",
        "plan": b'{"digest": "x"}',
    }
    return Bundle(**{**data, **more})  # type: ignore[arg-type]


def files(folder: Path, **more: object) -> dict[str, bytes]:
    bundle.write(folder, made(**more))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def packed(content: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return stream.getvalue()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    content = files(tmp_path)
    assert set(content) == {"plan.json", "report.md", "bundle.json"}
    found = bundle.unpack(packed(content), "here")
    assert (found.pipeline, found.environment, found.head, found.digest) == ("iris", "staging", HEAD, DIGEST)
    assert (found.report, found.plan) == ("# Plan\n", b'{"digest": "x"}')
    assert bundle.artifact_name("iris", "staging") == "plan-iris-staging"


def test_a_failed_and_an_offline_plan_have_no_digest(tmp_path: Path) -> None:
    failed = files(tmp_path / "a", digest="", failed=True, plan=b"")
    assert set(failed) == {"report.md", "bundle.json"}
    assert bundle.unpack(packed(failed), "here").failed
    assert bundle.unpack(packed(files(tmp_path / "b", digest="", offline=True)), "here").offline
    # `pipeline plan --out` wrote its file into that folder; what is uploaded is the folder.
    unsealed = files(tmp_path / "b", digest="", offline=True, plan=b"")
    assert set(unsealed) == {"report.md", "bundle.json"}
    assert bundle.unpack(packed(unsealed), "here").offline
    with pytest.raises(ApplyError, match="value that none"):
        bundle.unpack(packed(files(tmp_path / "c", digest="")), "here")


def altered(content: dict[str, bytes], **fields: object) -> dict[str, bytes]:
    data = json.loads(content["bundle.json"]) | fields
    return {**content, "bundle.json": json.dumps(data).encode()}


@pytest.mark.parametrize(
    "fields",
    [
        {"pipeline": "iris | evil"},
        {"pipeline": "../x"},
        {"environment": "<b>"},
        {"head": "HEAD"},
        {"digest": "short"},
        {"format": 2},
        {"format": True},
        {"changes": "yes"},
        {"more": 1},
        {"files": {"plan.json": "nothex"}},
        {"files": {"other": DIGEST}},
        {"files": []},
    ],
)
def test_fields_that_are_none(tmp_path: Path, fields: dict[str, object]) -> None:
    with pytest.raises(ApplyError, match="not a plan of ours"):
        bundle.unpack(packed(altered(files(tmp_path), **fields)), "here")


@pytest.mark.parametrize("name", ["plan.json", "report.md"])
def test_a_changed_file_breaks_the_seal(tmp_path: Path, name: str) -> None:
    content = files(tmp_path)
    with pytest.raises(ApplyError, match="sealed"):
        bundle.unpack(packed({**content, name: content[name] + b" "}), "here")
    content.pop(name)
    with pytest.raises(ApplyError, match="sealed"):
        bundle.unpack(packed(content), "here")


def test_other_names_doubles_and_paths_out_of_the_folder(tmp_path: Path) -> None:
    content = files(tmp_path)
    for name in ("run.sh", "../../evil", "/etc/passwd", "sub/plan.json"):
        with pytest.raises(ApplyError, match="holds"):
            bundle.unpack(packed({**content, name: b"x"}), "here")
    stream = io.BytesIO(packed(content))
    with pytest.warns(UserWarning), zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("plan.json", b"another")
    with pytest.raises(ApplyError, match="holds"):
        bundle.unpack(stream.getvalue(), "here")


def test_an_archive_that_blows_up_is_left_packed() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("report.md", b"0" * 5_000_000)
    assert len(stream.getvalue()) < 10_000
    with pytest.raises(ApplyError, match="larger than"):
        bundle.unpack(stream.getvalue(), "here")


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 broken"])
def test_what_is_no_archive(content: bytes) -> None:
    with pytest.raises(ApplyError, match="is not an archive"):
        bundle.unpack(content, "here")


@pytest.mark.parametrize("text", [b"[]", b"null", b"{", b"[" * 100_000, b"\xff"])
def test_what_is_no_json(text: bytes) -> None:
    # Deeper than the limit of its size allows is refused before it is parsed.
    with pytest.raises(ApplyError):
        bundle.unpack(packed({"bundle.json": text}), "here")


def test_a_report_that_is_not_text(tmp_path: Path) -> None:
    content = files(tmp_path)
    content["report.md"] = b"\xff\xfe"
    sealed = altered(content, files={n: bundle._sha256(c) for n, c in content.items() if n != "bundle.json"})
    with pytest.raises(ApplyError, match="UTF-8"):
        bundle.unpack(packed(sealed), "here")
