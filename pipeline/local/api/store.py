"""Records of resources: in memory, and on disk at once, so that SIGKILL loses nothing.

One JSON file a resource: `<state>/<service>/<account>/<region>/<kind>/<name>.json`, replaced
atomically. Files of a kind are read when the kind is first asked for. Times are epoch seconds.
"""

from __future__ import annotations

import copy
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote, unquote

from pipeline.local.api.undo import UndoLog

Record = dict[str, Any]


@dataclass(frozen=True)
class Scope:
    """Whose request it is: all resources live in one account and region."""

    account: str
    region: str
    caller_arn: str = ""

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn` or `aws-us-gov`, by the region's name."""
        if self.region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"


S = TypeVar("S", bound=Scope)


class Store(Generic[S]):
    """Thread-safe, write-through. What get() and list() return are copies.

    Args:
        root: folder of the files; None asks pipeline.local.context at first use.
    """

    folder = ""  # of a service's records, below the state folder
    scope_type: type[S]

    def __init__(self, root: Path | None = None) -> None:
        self._root = root
        self._lock = threading.RLock()
        self._kinds: dict[tuple[str, str, str], dict[str, Record]] = {}
        self._stack = threading.local()
        self.undo = UndoLog()

    def root(self) -> Path:
        """The folder of the files."""
        if self._root is None:
            from pipeline.local import context

            self._root = Path(context.state_dir()) / self.folder
        return self._root

    def get(self, scope: Scope, kind: str, name: str) -> Record | None:
        """A copy of the record, or None."""
        with self._lock:
            record = self._records(scope, kind).get(name)
            return copy.deepcopy(record)

    def put(self, scope: Scope, kind: str, name: str, record: Record) -> None:
        """Write the record to disk, then to memory."""
        with self._lock:
            path = self._path(scope, kind, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._note(path)
            temporary = path.with_suffix(f".{threading.get_ident()}.tmp")
            try:
                temporary.write_text(json.dumps(record, separators=(",", ":")), encoding="utf-8")
                temporary.replace(path)
            except OSError:
                # What a full disk took of it would keep it full.
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
                raise
            self._records(scope, kind)[name] = copy.deepcopy(record)

    def create(self, scope: Scope, kind: str, name: str, record: Record) -> bool:
        """Write the record unless the name is taken; False then."""
        with self._lock:
            if name in self._records(scope, kind):
                return False
            self.put(scope, kind, name, record)
            return True

    @contextmanager
    def edit(self, scope: Scope, kind: str, name: str) -> Iterator[Record]:
        """The record to change in place, written when the block ends well. KeyError if it is gone.

        All other access waits meanwhile: no I/O inside the block.
        """
        with self._lock:
            record = copy.deepcopy(self._records(scope, kind)[name])
            yield record
            self.put(scope, kind, name, record)

    def delete(self, scope: Scope, kind: str, name: str) -> bool:
        """Remove it; False if there was none."""
        with self._lock:
            path = self._path(scope, kind, name)
            self._note(path)
            path.unlink(missing_ok=True)
            return self._records(scope, kind).pop(name, None) is not None

    @contextmanager
    def undoable(self) -> Iterator[None]:
        """What this thread changes inside the block belongs to a stack's change, and goes back with it."""
        self._stack.changes = True
        try:
            yield
        finally:
            self._stack.changes = False

    def _note(self, path: Path) -> None:
        if getattr(self._stack, "changes", False):
            self.undo.note(self.root(), path)

    def items(self, scope: Scope, kind: str) -> list[tuple[str, Record]]:
        """Names and copies of all records of a kind, in no promised order."""
        with self._lock:
            return [(name, copy.deepcopy(record)) for name, record in self._records(scope, kind).items()]

    def scopes(self) -> list[S]:
        """Every account and region that has records on disk."""
        root = self.root()
        found = root.glob("*/*") if root.is_dir() else ()
        return [self.scope_type(path.parent.name, path.name) for path in sorted(found) if path.is_dir()]

    def clear(self) -> None:
        """Forget everything, on disk too."""
        with self._lock:
            self._kinds.clear()
            shutil.rmtree(self.root(), ignore_errors=True)

    def _records(self, scope: Scope, kind: str) -> dict[str, Record]:
        key = (scope.account, scope.region, kind)
        records = self._kinds.get(key)
        if records is None:
            folder = self._path(scope, kind, "x").parent
            records = {
                unquote(path.stem): json.loads(path.read_text(encoding="utf-8"))
                for path in (folder.glob("*.json") if folder.is_dir() else ())
            }
            self._kinds[key] = records
        return records

    def _path(self, scope: Scope, kind: str, name: str) -> Path:
        return self.root() / scope.account / scope.region / kind / f"{quote(name, safe='')}.json"

    def list(self, scope: Scope, kind: str) -> list[Record]:
        """As items(), without the names."""
        return [record for _, record in self.items(scope, kind)]
