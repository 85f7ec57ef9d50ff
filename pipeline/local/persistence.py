"""Save what changed, at once: a killed server loses the last instant, not the day.

MiniStack writes its state when it shuts down, as one file a service. Here a service is written soon after
each change, and the two that grow (executions with their history, log streams with their events) are written
item by item, so that the cost of a change does not grow with what is already stored.

The files are MiniStack's own format, `<state>/services/<key>.json`; the items lie in `<key>.d/`.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

logger = logging.getLogger("pipeline.local.persistence")

DEBOUNCE_SECONDS = 0.05
# Saving may take this share of a core: a huge state is saved less often, never all the time.
_SHARE = 0.25
_LONGEST_REST_SECONDS = 2.0
_ATTEMPTS = 50

ItemKey = tuple[str, ...]
Encode = Callable[[Any], str]


@dataclass(frozen=True)
class Item:
    """One item of a store that is written item by item.

    `signature` changes whenever the item does; `value` is what is stored.
    """

    key: ItemKey
    signature: Any
    value: Any


@dataclass(frozen=True)
class Store:
    """One service's state.

    Args:
        whole: what goes into `<key>.json`; None when there is nothing to say.
        items: what goes into `<key>.d/`, one file each.
        busy: whether the state changes without a request right now, so that it must be looked at again.
    """

    whole: Callable[[], Any]
    items: Callable[[], Iterable[Item]] | None = None
    busy: Callable[[], bool] = lambda: False


@dataclass
class _Written:
    whole: bytes = b""
    items: dict[ItemKey, Any] = field(default_factory=dict)


class Saver:
    """Writes stores from a thread of its own.

    Args:
        folder: where the files go.
        encode: a state -> JSON text.
        stores: the stores there are now, by key.
    """

    def __init__(self, folder: Path, encode: Encode, stores: Callable[[], dict[str, Store]]) -> None:
        self._folder = folder
        self._encode = encode
        self._stores = stores
        self._written: dict[str, _Written] = {}
        self._dirty: set[str] = set()
        self._everything = False
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="state-saver", daemon=True)

    def start(self) -> None:
        """Begin to save."""
        self._thread.start()

    def touch(self, *keys: str) -> None:
        """These stores may have changed; without keys, any may."""
        with self._lock:
            self._dirty.update(keys)
            self._everything = self._everything or not keys
        self._wake.set()

    def flush(self) -> None:
        """Save everything now, in this thread."""
        with self._lock:
            self._everything = True
        self._pass()

    def stop(self) -> None:
        """Save everything a last time and end the thread."""
        self._stopped = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self.flush()

    def _run(self) -> None:
        while not self._stopped:
            self._wake.wait()
            self._wake.clear()
            if self._stopped:
                return
            time.sleep(DEBOUNCE_SECONDS)
            began = time.thread_time()
            again = self._pass()
            rest = (time.thread_time() - began) * (1 / _SHARE - 1)
            time.sleep(min(max(0.0, rest - DEBOUNCE_SECONDS), _LONGEST_REST_SECONDS))
            if again:
                self._wake.set()

    def _pass(self) -> bool:
        """Write what is dirty; whether some store is busy and wants another pass."""
        with self._saving:
            with self._lock:
                keys, everything = self._dirty, self._everything
                self._dirty, self._everything = set(), False
            stores = self._stores()
            busy = {key for key, store in stores.items() if store.busy()}
            if everything:
                keys = set(stores)
            for key in sorted((keys | busy) & set(stores)):
                try:
                    self._save(key, stores[key])
                except Exception:
                    # The other stores are not to suffer; this one is tried again when it changes.
                    logger.exception("saving %s failed", key)
            with self._lock:
                self._dirty |= busy
                return bool(self._dirty) or self._everything

    def _save(self, key: str, store: Store) -> None:
        written = self._written.setdefault(key, _Written())
        if store.items is not None:
            self._save_items(key, store.items, written)
        text = _steady(lambda: self._encode_whole(store))
        if text is None:
            return
        digest = hashlib.sha256(text.encode()).digest()
        if digest != written.whole:
            _replace(self._folder / f"{key}.json", text)
            written.whole = digest

    def _encode_whole(self, store: Store) -> str | None:
        state = store.whole()
        return None if state is None else self._encode(state)

    def _save_items(self, key: str, items: Callable[[], Iterable[Item]], written: _Written) -> None:
        folder = self._folder / f"{key}.d"
        folder.mkdir(exist_ok=True)
        present = {item.key: item for item in _steady(lambda: list(items()))}
        for item_key, item in present.items():
            if written.items.get(item_key) == item.signature:
                continue
            text = _steady(partial(self._encode, {"key": item.key, "value": item.value}))
            _replace(_item_file(folder, item_key), text)
            written.items[item_key] = item.signature
        for gone in set(written.items) - set(present):
            _item_file(folder, gone).unlink(missing_ok=True)
            del written.items[gone]

    def adopt(self, key: str, signatures: dict[ItemKey, Any]) -> None:
        """Items that were read from disk: not written again as they are, and their file goes when they go."""
        self._written.setdefault(key, _Written()).items.update(signatures)


def read_items(folder: Path, key: str, decode: Callable[[str], Any]) -> Iterator[tuple[ItemKey, Any]]:
    """The items of a store as they were last written. An unreadable file is reported and left alone."""
    for path in sorted((folder / f"{key}.d").glob("*.json")):
        try:
            entry = decode(path.read_text())
            yield tuple(entry["key"]), entry["value"]
        except (OSError, ValueError, KeyError, TypeError):
            logger.exception("cannot read %s", path)


def _item_file(folder: Path, key: ItemKey) -> Path:
    return folder / (hashlib.sha256("\0".join(key).encode()).hexdigest()[:32] + ".json")


def _steady(read: Callable[[], Any]) -> Any:
    """Read a state that other threads change: an iteration that is disturbed is begun anew."""
    for attempt in range(_ATTEMPTS):
        try:
            return read()
        except RuntimeError:
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(0.002)
    raise AssertionError("unreachable")


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text)
    temporary.replace(path)
