"""Seam: MiniStack's S3 keeps objects as files. One that it could not write is refused, not only logged."""

from __future__ import annotations

import logging
from typing import Any

_FAILED = "Failed to persist S3"


def install(s3: Any) -> None:
    """MiniStack goes on after such a failure with the object in memory, and loses it with the process."""
    s3.logger = _Refusing(s3.logger)


class _Refusing(logging.LoggerAdapter):
    """MiniStack's logger, which is told of the failure where it happens, and nobody else is."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logger, {})

    def warning(self, msg: object, *args: Any, **kwargs: Any) -> None:
        super().warning(msg, *args, **kwargs)
        if str(msg).startswith(_FAILED):
            raise OSError(str(msg) % args)
