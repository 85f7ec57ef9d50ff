"""Pipe mode: a channel as named pipes, one an epoch, fed while the program reads.

`/opt/ml/input/data/<channel>_<epoch>`: the next epoch's pipe is there as soon as the present one is
opened. A reader may close early; that ends its epoch.
"""

from __future__ import annotations

import errno
import os
import select
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

_LOOK = 0.02  # seconds between two looks for a reader


class _Ended(Exception):
    """The job is over."""


class PipeFeeder:
    """Feeds one channel until `close`.

    Args:
        folder: where the pipes are made.
        content: gives an epoch's bytes, piece by piece.
        failed: told, once, what the content raised; the reader then sees the end of its pipe.
    """

    def __init__(
        self,
        folder: Path,
        channel: str,
        content: Callable[[int], Iterable[bytes]],
        failed: Callable[[Exception], None],
    ) -> None:
        self._folder, self._channel, self._content, self._failed = folder, channel, content, failed
        self._over = threading.Event()
        self._pipe(0)
        self._thread = threading.Thread(target=self._feed, name=f"pipe-{channel}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop feeding: the job is over."""
        self._over.set()
        self._thread.join()

    def _pipe(self, epoch: int) -> Path:
        path = self._folder / f"{self._channel}_{epoch}"
        if not path.exists():
            os.mkfifo(path)
        return path

    def _feed(self) -> None:
        epoch = 0
        try:
            while True:
                out = self._reader(self._pipe(epoch))
                try:
                    self._pipe(epoch + 1)
                    for piece in self._content(epoch):
                        self._write(out, piece)
                except BrokenPipeError:
                    epoch += 1
                    continue
                finally:
                    os.close(out)
                epoch += 1
        except _Ended:
            return
        except Exception as error:  # noqa: BLE001 - the job tells it
            self._failed(error)

    def _reader(self, path: Path) -> int:
        """The pipe, once somebody reads it. Opening it to wait could not be interrupted."""
        while not self._over.is_set():
            try:
                return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
            self._over.wait(_LOOK)
        raise _Ended

    def _write(self, out: int, piece: bytes) -> None:
        view = memoryview(piece)
        while view:
            if self._over.is_set():
                raise _Ended
            try:
                view = view[os.write(out, view) :]
            except BlockingIOError:
                select.select([], [out], [], 0.2)


def gunzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The content of a gzip stream, members concatenated; raises zlib.error when it is none."""
    decoder = zlib.decompressobj(wbits=31)
    for piece in pieces:
        rest = piece
        while rest:
            if decoder.eof:
                decoder = zlib.decompressobj(wbits=31)
            yield decoder.decompress(rest)
            rest = decoder.unused_data
