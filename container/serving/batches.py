"""Micro-batching: several requests through one predict_fn call, each answered by its own rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .answers import ACCEPT, CONTENT_TYPE, Answer, failure, invoke

if TYPE_CHECKING:
    from .connection import Request
    from .log import Log
    from .plugin import Plugin


def answer_together(plugin: Plugin, requests: list[Request], log: Log) -> list[Answer]:
    """One answer a request, in their order. Bodies that do not fit together are answered one by one."""
    answers: dict[int, Answer] = {}
    groups: dict[tuple[Any, ...], list[tuple[int, Any]]] = {}
    for at, request in enumerate(requests):
        try:
            data = _rows(plugin.decode(request.body, _text(request, CONTENT_TYPE)))
        except Exception as error:  # noqa: BLE001  only this request's answer
            answers[at] = failure(error, log)
            continue
        # Only arrays of the same columns and type are one array.
        shape = getattr(data, "shape", None)
        key = ("alone", at) if shape is None else (shape[1:], str(data.dtype))
        groups.setdefault(key, []).append((at, data))
    for group in groups.values():
        answers.update(_group(plugin, requests, group, log))
    return [answers[at] for at in range(len(requests))]


def _group(
    plugin: Plugin, requests: list[Request], group: list[tuple[int, Any]], log: Log
) -> dict[int, Answer]:
    alone = {at: None for at, _ in group}
    if len(group) > 1:
        import numpy as np

        try:
            rows = [len(data) for _, data in group]
            predictions = np.asarray(plugin.predict(np.concatenate([data for _, data in group])))
            if len(predictions) == sum(rows):
                parts = np.split(predictions, np.cumsum(rows)[:-1])
                return {
                    at: _encoded(plugin, requests[at], part, log)
                    for (at, _), part in zip(group, parts, strict=True)
                }
        except Exception as error:  # noqa: BLE001  one bad row must not be everybody's answer
            log.event("batch_failed", requests=len(group), error=f"{type(error).__name__}: {error}")
    return {at: invoke(plugin, requests[at], log) for at in alone}


def _encoded(plugin: Plugin, request: Request, part: Any, log: Log) -> Answer:
    try:
        made = plugin.encode(part, _text(request, ACCEPT))
    except Exception as error:  # noqa: BLE001  only this request's answer
        return failure(error, log)
    return Answer(200, made.content_type, made.body)


def _rows(data: Any) -> Any:
    """A single row as one row of a table; what is not a NumPy array stays by itself."""
    if type(data).__module__ != "numpy" or not hasattr(data, "ndim"):
        return data if not hasattr(data, "shape") else [data]
    return data.reshape(1, -1) if data.ndim == 1 else data


def _text(request: Request, name: bytes) -> str | None:
    value = request.headers.get(name)
    return None if value is None else value.decode("latin-1")
