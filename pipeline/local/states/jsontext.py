"""JSON as Step Functions writes it: compact, UTF-8, at most 256 KiB a payload."""

from __future__ import annotations

import json
from typing import Any

# AWS: maximum input or result size of a task, state or execution, as a UTF-8 encoded string.
PAYLOAD_LIMIT = 256 * 1024

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def dumps(value: Any) -> str:
    """The value's compact JSON text."""
    return _encode(value)


def exceeds_limit(text: str) -> bool:
    """Whether the text has more than 262,144 bytes of UTF-8."""
    if len(text) > PAYLOAD_LIMIT:
        return True
    # No character takes more than four bytes: short texts need no encoding to know.
    return len(text) * 4 > PAYLOAD_LIMIT and len(text.encode()) > PAYLOAD_LIMIT
