"""Snapshots of container folders: an image's source as it was, under the image's digest."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from pipeline.image.context import context_files
from pipeline.image.fingerprint import source_part, source_tag
from pipeline.local import context

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
_LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar"
# Where in the image the folder lies.
_PROGRAM = "opt/program"


def place(digest: str) -> Path:
    """Where the snapshot of an image lies, if there is one."""
    return context.paths().images / digest.removeprefix("sha256:")


def container_folder(repository: str, tag: str) -> Path | None:
    """The container folder whose source, as it is right now, a tag of that repository stands for.

    The repository's own, or that of a checkout which a workflow of the local remote is working on.
    """
    wanted = source_part(tag)
    for root in [context.root(), *_checkouts()]:
        folder = root / "container" / repository.rpartition("/")[2]
        if wanted and folder.is_dir() and source_tag(folder) == wanted:
            return folder
    return None


def _checkouts() -> list[Path]:
    found = []
    for file in sorted(context.paths().checkouts.glob("*")):
        with contextlib.suppress(FileNotFoundError):  # its workflow has just ended
            found.append(Path(file.read_text(encoding="utf-8")))
    return found


def keep_as(folder: Path | None, tag: str, digest: str) -> None:
    """Keep `folder` as the snapshot of an image with a digest of its own; an empty one without a folder."""
    if place(digest).is_dir():
        return
    copy = _copy(folder, source_part(tag)) if folder is not None else None
    if copy is None:
        copy = Path(tempfile.mkdtemp(prefix="making-", dir=context.paths().images))
    _settle(copy, digest)


def made_of_folder(digest: str) -> bool:
    """Whether the image with this digest is a snapshot and nothing more: it was never built."""
    folder = place(digest)
    return folder.is_dir() and _digest(manifest_of(folder)[0]) == digest


def blob(image: str, digest: str) -> bytes | None:
    """A layer or the configuration of an image that is a snapshot, made again; None where it is not its."""
    folder = place(image)
    if not folder.is_dir():
        return None
    return next((part for part in manifest_of(folder)[1:] if _digest(part) == digest), None)


def take(folder: Path, tag: str) -> bytes | None:
    """Keep `folder` under the digest of a manifest made of it.

    Returns:
        The manifest; None if the folder is not what `tag` stands for any more.
    """
    copy = _copy(folder, source_part(tag))
    if copy is None:
        return None
    manifest, _, _ = manifest_of(copy)
    _settle(copy, hashlib.sha256(manifest).hexdigest())
    return manifest


def may_be(manifest: bytes) -> bool:
    """Whether a manifest could be a snapshot's: one layer, which no engine makes, for it is not packed."""
    try:
        layers = json.loads(manifest)["layers"]
        return len(layers) == 1 and layers[0]["mediaType"] == _LAYER_TYPE
    except (ValueError, KeyError, TypeError):
        return False


def layer_of(manifest: bytes) -> str:
    """The digest of the one layer."""
    return str(json.loads(manifest)["layers"][0]["digest"])


def unpack(manifest: bytes, layer: bytes) -> bool:
    """Keep what was pushed as a snapshot as just that; False if it is none, whatever it looks like."""
    digest = _digest(manifest)
    if place(digest).is_dir():
        return made_of_folder(digest)
    copy = Path(tempfile.mkdtemp(prefix="making-", dir=context.paths().images))
    try:
        with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
            members = archive.getmembers()
            if not all(member.name.startswith(f"{_PROGRAM}/") for member in members):
                return False
            for member in members:
                member.name = member.name.removeprefix(f"{_PROGRAM}/")
                archive.extract(member, copy, filter="data")
        if _digest(manifest_of(copy)[0]) != digest:
            return False
        _settle(copy, digest)
    except tarfile.TarError:
        return False
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    return True


def _copy(folder: Path, source: str) -> Path | None:
    copy = Path(tempfile.mkdtemp(prefix="making-", dir=context.paths().images))
    try:
        for relative, path in context_files(folder).items():
            target = copy / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target, follow_symlinks=False)
        same = source_tag(copy) == source
    except BaseException:
        shutil.rmtree(copy, ignore_errors=True)
        raise
    if not same:
        shutil.rmtree(copy, ignore_errors=True)
        return None
    return copy


def _settle(copy: Path, digest: str) -> None:
    copy.chmod(0o755)
    # Somebody else may have made the very same one: either is right.
    with contextlib.suppress(OSError):
        copy.rename(place(digest))
    shutil.rmtree(copy, ignore_errors=True)


def manifest_of(folder: Path) -> tuple[bytes, bytes, bytes]:
    """A Docker v2 schema 2 manifest with one layer, the source as a tar without times and owners; that
    layer; the configuration.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for relative, path in context_files(folder).items():
            entry = tarfile.TarInfo(f"{_PROGRAM}/{relative}")
            entry.mode = 0o755 if path.stat(follow_symlinks=False).st_mode & 0o100 else 0o644
            if path.is_symlink():
                entry.type, entry.linkname = tarfile.SYMTYPE, path.readlink().as_posix()
                archive.addfile(entry)
            else:
                content = path.read_bytes()
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    layer = buffer.getvalue()
    layer_digest = _digest(layer)
    config = _canonical(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"WorkingDir": "/opt/program"},
            "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        }
    )
    manifest = _canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": _CONFIG_TYPE, "size": len(config), "digest": _digest(config)},
            "layers": [{"mediaType": _LAYER_TYPE, "size": len(layer), "digest": layer_digest}],
        }
    )
    return manifest, layer, config


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _canonical(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
