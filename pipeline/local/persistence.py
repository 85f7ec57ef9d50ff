"""Save what changed, at once: a killed server loses the last instant, not the day.

MiniStack writes its state when it shuts down, as one file a service. Here a service is written soon after
each change, and those that grow (executions with their history, log streams with their events, metrics) are
written item by item, so that the cost of a change does not grow with what is already stored.

A change that spreads over several services (a stack's) is kept as a whole or not at all: while one is under
way no service's state is written, items excepted, and what it came to is written at one stroke.

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

from pipeline.local import commit

logger = logging.getLogger("pipeline.local.persistence")

DEBOUNCE_SECONDS = 0.05
# Saving may take this share of a core: a huge state is saved less often, never all the time.
_SHARE = 0.25
_LONGEST_REST_SECONDS = 2.0
_ATTEMPTS = 50
# After a failure (a full disk): until the next attempt.
_RETRY_SECONDS = 1.0

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


@dataclass(frozen=True)
class Changes:
    """Changes that spread over several stores.

    Args:
        version: another value whenever one has begun or ended; None while one is under way.
        mark: how far a record of their own that is written meanwhile has come; asked before `version`.
        kept: what is written holds everything up to that mark.
    """

    version: Callable[[], Any] = lambda: ()
    mark: Callable[[], Any] = lambda: None
    kept: Callable[[Any], None] = lambda _: None


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
        changes: those that spread over several stores.
    """

    def __init__(
        self,
        folder: Path,
        encode: Encode,
        stores: Callable[[], dict[str, Store]],
        changes: Changes | None = None,
    ) -> None:
        self._folder = folder
        self._encode = encode
        self._stores = stores
        self._changes = changes or Changes()
        self._kept: Any = self._changes.version()
        self._written: dict[str, _Written] = {}
        self._dirty: set[str] = set()
        self._everything = False
        self._told: set[str] = set()
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="state-saver", daemon=True)

    def start(self) -> None:
        """Begin to save."""
        self._thread.start()

    def begin(self) -> None:
        """The state that changes spread over was read just now: none of them is to be written."""
        self._kept = self._changes.version()

    def touch(self, *keys: str) -> None:
        """These stores may have changed; without keys, any may."""
        with self._lock:
            self._dirty.update(keys)
            self._everything = self._everything or not keys
        self._wake.set()

    def save(self, *keys: str) -> None:
        """Save these stores now, in this thread, and all others with them that changed together.

        Raises:
            Exception: it could not be written (a full disk); it is tried again.
        """
        with self._saving:
            failed = self._save(set(keys), self._stores())
        if failed:
            self.touch(*failed)
            raise next(iter(failed.values()))

    @property
    def behind(self) -> bool:
        """Whether a change over several stores has ended that is not written yet."""
        version = self._changes.version()
        return version is not None and version != self._kept

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
            again, failed = self._pass()
            rest = (time.thread_time() - began) * (1 / _SHARE - 1)
            rest = min(max(0.0, rest - DEBOUNCE_SECONDS), _LONGEST_REST_SECONDS)
            time.sleep(_RETRY_SECONDS if failed else rest)
            if again:
                self._wake.set()

    def _pass(self) -> tuple[bool, bool]:
        """Write what is dirty; whether another pass is wanted, and whether this one failed."""
        with self._saving:
            with self._lock:
                keys, everything = self._dirty, self._everything
                self._dirty, self._everything = set(), False
            stores = self._stores()
            busy = {key for key, store in stores.items() if store.busy()}
            failed = self._save(set(stores) if everything else keys | busy, stores)
            with self._lock:
                self._dirty |= busy | set(failed)
                return bool(self._dirty) or self._everything, bool(failed)

    def _save(self, keys: set[str], stores: dict[str, Store]) -> dict[str, Exception]:
        """Write these stores; what could not be written, and why."""
        failed: dict[str, Exception] = {}
        texts: dict[str, str] = {}
        mark, version = self._changes.mark(), self._changes.version()
        together = version != self._kept
        for key in sorted(set(stores) if together and version is not None else keys & set(stores)):
            try:
                self._save_items(key, stores[key])
                if version is not None and (text := self._changed(key, stores[key])) is not None:
                    texts[key] = text
            except Exception as error:  # noqa: BLE001 - told below; the other stores are not to suffer
                failed[key] = error
        if version is None or self._changes.version() != version:
            # They go to disk with the change under way. (Nothing to touch would mean everything.)
            if keys:
                self.touch(*keys)
            return self._tell(failed)
        if together and failed:
            return self._tell(failed | dict.fromkeys(texts, next(iter(failed.values()))))
        try:
            self._write(texts, mark, together=together)
            self._kept = version
        except OSError as error:
            failed |= dict.fromkeys(texts, error)
        return self._tell(failed)

    def _tell(self, failed: dict[str, Exception]) -> dict[str, Exception]:
        """Report each store's failures once, until it is well again."""
        for key, error in failed.items():
            if key not in self._told:
                logger.error("saving %s failed; it is tried again: %s", key, error, exc_info=error)
        self._told = set(failed)
        return failed

    def _changed(self, key: str, store: Store) -> str | None:
        """The store's text, if it is not what was written last."""
        text = _steady(lambda: self._encode_whole(store))
        if text is None or self._written.setdefault(key, _Written()).whole == _digest(text):
            return None
        return str(text)

    def _write(self, texts: dict[str, str], mark: Any, *, together: bool) -> None:
        if together:
            commit.write(self._folder, {f"{key}.json": text for key, text in texts.items()}, mark)
            self._changes.kept(mark)
        for key, text in texts.items():
            if not together:
                commit.replace(self._folder / f"{key}.json", text)
            self._written[key].whole = _digest(text)

    def _encode_whole(self, store: Store) -> str | None:
        state = store.whole()
        return None if state is None else self._encode(state)

    def _save_items(self, key: str, store: Store) -> None:
        items = store.items
        if items is None:
            return
        written = self._written.setdefault(key, _Written())
        folder = self._folder / f"{key}.d"
        folder.mkdir(exist_ok=True)
        present = {item.key: item for item in _steady(lambda: list(items()))}
        for item_key, item in present.items():
            if written.items.get(item_key) == item.signature:
                continue
            text = _steady(partial(self._encode, {"key": item.key, "value": item.value}))
            commit.replace(_item_file(folder, item_key), text)
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


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
