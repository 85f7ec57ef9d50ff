"""A program's output cut into lines, whatever it comes in: pipes of a process or frames of an engine."""

from __future__ import annotations

from pipeline.local.runner.model import Log

# CloudWatch Logs takes no event larger than 256 KiB less 26 bytes (a byte that is no UTF-8 becomes
# three); a program that prints without a newline must not fill the memory either.
LONGEST_LINE = (256 * 1024 - 26) // 3


class Lines:
    """Gives `log` each line as it is complete; overlong ones in pieces."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        """The next bytes."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._line(line)
        while len(self._rest) >= LONGEST_LINE:
            self._line(self._rest[:LONGEST_LINE])
            self._rest = self._rest[LONGEST_LINE:]

    def end(self) -> None:
        """There will be no more."""
        if self._rest:
            self._line(self._rest)
        self._rest = b""

    def _line(self, line: bytes) -> None:
        line = line.rstrip(b"\r")
        for start in range(0, len(line) or 1, LONGEST_LINE):
            self._log(line[start : start + LONGEST_LINE].decode("utf-8", errors="replace"))
