"""Objects to files and files to objects, as the job's role; every failure as the job's FailureReason."""

from __future__ import annotations

import contextlib
import os
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.local.sagemaker.jobs import failure, objects
from pipeline.local.sagemaker.jobs.objects import S3Object

_AT_ONCE = 8
_LARGE = 64 * 1024 * 1024  # bytes; above it an upload goes in parts


def list_keys(s3: Any, uri: str) -> list[str]:
    """All keys under an S3 URI's prefix, in S3's order."""
    bucket, prefix = objects.split(uri)
    keys: list[str] = []
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            keys.extend(entry["Key"] for entry in page.get("Contents", ()))
    except (ClientError, BotoCoreError) as error:
        raise failure.listing_failed(uri, error) from None
    return keys


def read_text(s3: Any, uri: str) -> str:
    """A small object, such as a manifest."""
    bucket, key = objects.split(uri)
    try:
        return str(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode("utf-8-sig"))
    except (ClientError, BotoCoreError, UnicodeDecodeError) as error:
        raise failure.object_failed(uri, error) from None


def chunks(s3: Any, source: S3Object) -> Iterator[bytes]:
    """An object's content, piece by piece."""
    try:
        body = s3.get_object(Bucket=source.bucket, Key=source.key)["Body"]
        while piece := body.read(1 << 18):
            yield piece
    except (ClientError, BotoCoreError) as error:
        raise failure.object_failed(source.uri, error) from None


def download(
    s3: Any, sources: Iterable[S3Object], folder: Path, stopped: Callable[[], bool] = lambda: False
) -> None:
    """Fetch objects below `folder`, some at a time; ends early, incomplete, once `stopped()`."""
    folder.mkdir(parents=True, exist_ok=True)

    def one(source: S3Object) -> None:
        if stopped():
            return
        target = folder / source.path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                for piece in chunks(s3, source):
                    file.write(piece)
        except OSError as error:  # `a` and `a/b` are both fine keys, but not both files
            raise failure.object_failed(source.uri, error) from None

    todo = list(sources)
    if len(todo) <= 1:
        for source in todo:
            one(source)
        return
    with ThreadPoolExecutor(min(_AT_ONCE, len(todo)), thread_name_prefix="download") as pool:
        for _ in pool.map(one, todo):
            pass


def upload_file(s3: Any, path: Path, bucket: str, key: str, kms_key: str | None = None) -> None:
    """One file to one object, encrypted with the KMS key if there is one."""
    extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
    try:
        if path.stat().st_size > _LARGE:
            s3.upload_file(str(path), bucket, key, ExtraArgs=extra)
            return
        with path.open("rb") as file:
            s3.put_object(Bucket=bucket, Key=key, Body=file, **extra)
    except Exception as error:
        # upload_file wraps what it meets in an exception of boto3's own.
        if (
            isinstance(error, ClientError | BotoCoreError | OSError)
            or "S3UploadFailed" in type(error).__name__
        ):
            raise failure.upload_failed(error) from None
        raise


def files_in(folder: Path) -> list[Path]:
    """Regular files below a folder, in a fixed order. Links are not followed, as SageMaker does not."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders.sort()
        found += [Path(parent, name) for name in sorted(names)]
    return [path for path in found if path.is_file() and not path.is_symlink()]


def upload_folder(s3: Any, folder: Path, uri: str, kms_key: str | None = None) -> int:
    """Every file of a folder below an S3 URI; how many."""
    bucket, prefix = objects.split(uri)
    prefix = prefix.rstrip("/")
    files = files_in(folder)
    for path in files:
        relative = path.relative_to(folder).as_posix()
        upload_file(s3, path, bucket, f"{prefix}/{relative}" if prefix else relative, kms_key)
    return len(files)


def upload_archive(s3: Any, folder: Path, uri: str, scratch: Path, kms_key: str | None = None) -> bool:
    """A folder's content as one tar.gz at an S3 URI. False, and nothing stored, when it is empty."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    archive = scratch / "archive.tar.gz"
    try:
        with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
            for entry in sorted(folder.iterdir()):
                tar.add(entry, arcname=entry.name)
    except OSError as error:
        raise failure.upload_failed(error) from None
    bucket, key = objects.split(uri)
    try:
        upload_file(s3, archive, bucket, key, kms_key)
    finally:
        archive.unlink(missing_ok=True)
    return True


@dataclass
class FolderSync:
    """Keeps an S3 URI up to date with a folder while a job runs (checkpoints, continuous outputs).

    Args:
        every: seconds between two looks at the folder.
    """

    s3: Any
    folder: Path
    uri: str
    kms_key: str | None = None
    every: float = 2.0
    # How many files were uploaded.
    stored: int = 0
    _seen: dict[Path, tuple[int, int]] = field(default_factory=dict)
    _end: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def restore(self) -> None:
        """Fetch what an earlier job left there."""
        found = objects.under_prefix(
            self.uri.rstrip("/") + "/", list_keys(self.s3, self.uri.rstrip("/") + "/")
        )
        download(self.s3, found, self.folder)
        self._changed()

    def start(self) -> None:
        """Begin to watch the folder."""
        self._thread = threading.Thread(target=self._watch, name="folder-sync", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Stop watching and store what is left, raising what goes wrong."""
        self._end.set()
        if self._thread:
            self._thread.join()
        self._store(self._changed())

    def abandon(self) -> None:
        """Stop watching; what is not stored is lost."""
        self._end.set()
        if self._thread:
            self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(self.every):
            changed = self._changed()
            try:
                self._store(changed)
            except (failure.JobFailed, OSError):
                # A file in the middle of being replaced, or a role that may not write: the last round,
                # in `finish`, tells.
                for path in changed:
                    self._seen.pop(path, None)

    def _changed(self) -> list[Path]:
        changed = []
        for path in files_in(self.folder):
            with contextlib.suppress(FileNotFoundError):
                about = path.stat()
                mark = (about.st_mtime_ns, about.st_size)
                if self._seen.get(path) != mark:
                    self._seen[path] = mark
                    changed.append(path)
        return changed

    def _store(self, files: list[Path]) -> None:
        bucket, prefix = objects.split(self.uri)
        for path in files:
            if path.exists():
                key = f"{prefix.rstrip('/')}/{path.relative_to(self.folder).as_posix()}".lstrip("/")
                upload_file(self.s3, path, bucket, key, self.kms_key)
                self.stored += 1


def remove(folder: Path) -> None:
    """Delete a job's folder, whatever permissions its program left on it."""
    shutil.rmtree(folder, ignore_errors=True)
