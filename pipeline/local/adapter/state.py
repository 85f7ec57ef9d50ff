"""Seam: MiniStack's persistence. Its stores are saved by our `Saver`, and loaded by its own start-up code.

What a client was told is true after a SIGKILL too: a request that changes something is answered once the
change is on disk. Exceptions are what is measured and logged, which is saved a moment later, and a stack that
is being changed: it is on disk as it was before, until it is changed.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType
from typing import Any

from ministack import app
from ministack.core import persistence as theirs
from ministack.core.responses import AccountRegionScopedDict

from pipeline.local import commit, context
from pipeline.local.adapter import imports, records, stacks
from pipeline.local.adapter.registry import Handler, Response, failure
from pipeline.local.persistence import Changes, Item, Saver, Store, read_items

logger = logging.getLogger("pipeline.local")

EXECUTIONS = "stepfunctions"
LOGS = "cloudwatch_logs"
STACKS = "cloudformation"
METRICS = "cloudwatch"
IMAGES = "ecr"

# Services that write into others' stores within one request of theirs; the names are persistence keys.
_ALSO_WRITES = {
    "lambda": (LOGS, "cloudwatch"),
    "states": (LOGS, "cloudwatch", "eventbridge"),
    "logs": ("cloudwatch",),
    "monitoring": ("sns",),
    "codebuild": (LOGS,),
    "glue": (LOGS, "eventbridge"),
    "s3": ("sqs", "sns", "eventbridge"),
    "sagemaker": (LOGS, "cloudwatch"),
    "sns": ("sqs",),
}
# Services whose changes are on disk before they are answered.
_KEPT = frozenset(
    {
        "cloudformation",
        "ecr",
        "events",
        "iam",
        "kms",
        "lambda",
        "s3",
        "scheduler",
        "secretsmanager",
        "sns",
        "ssm",
        "states",
    }
)
_READS = (
    "Describe",
    "List",
    "Get",
    "BatchGet",
    "Head",
    "Validate",
    "Simulate",
    "Search",
    "Filter",
    "Lookup",
    "Query",
)


class _Shallow:
    """Stands in for the module `copy` in MiniStack's get_state: encoding only reads, so nothing is copied."""

    @staticmethod
    def deepcopy(value: Any) -> Any:
        return value


def install() -> Saver:
    """Let our saver write MiniStack's state; returns it, not started yet."""
    folder = context.paths().services
    # First what a killed server had begun to keep, then what it had not.
    records.forget(commit.finish(folder))
    taken_back = records.roll_back()
    if taken_back:
        logger.warning("a stack's change was cut short: %d records put back", taken_back)
    saver = Saver(folder, _encode, _stores, Changes(stacks.version, records.mark, records.forget))
    # CloudFormation takes longer to import than all the rest together, and nothing but its own requests looks
    # at its stacks: they are loaded when it is imported, which the server does once it listens.
    app.load_state = lambda key: None if key == STACKS else _load(saver, key)

    def read_stacks(module: Any) -> None:
        stacks.read(module, _load(saver, STACKS))
        saver.begin()

    imports.after(f"ministack.services.{STACKS}", read_stacks)
    # At shutdown MiniStack would write everything as whole files.
    app.save_all = lambda _: saver.stop()
    for name, handler in list(app.SERVICE_HANDLERS.items()):
        app.SERVICE_HANDLERS[name] = _saving(name, handler, saver)
    return saver


def _saving(name: str, handler: Handler, saver: Saver) -> Handler:
    module = app.SERVICE_REGISTRY[name]["module"]
    key = app.SERVICE_REGISTRY[name].get("state_key", module)
    keys = (key, *_ALSO_WRITES.get(name, ()))
    # One at a time, and on no thread that a request could be waiting for.
    thread = ThreadPoolExecutor(1, thread_name_prefix=f"save-{key}")

    async def handle(method: str, path: str, headers: dict, body: bytes, query_params: dict) -> Response:
        # An image of a folder is made known by asking for it.
        reads = name != "ecr" and _reads(method, headers, query_params, body)
        try:
            response = await handler(method, path, headers, body, query_params)
        except OSError as error:
            return failure(name, headers, body, f"the local target cannot write its state: {error}")
        finally:
            if name == STACKS and not reads:
                saver.touch()  # a stack may hold any service's resources
            elif name == "lambda" and path.endswith("/invocations"):
                saver.touch(*keys[1:])
                reads = True
            elif not reads:
                saver.touch(*keys)
        # An object is on disk already. Who is told that a stack is made can rely on it, too.
        object_only = name == "s3" and "/" in path.strip("/")
        if (name in _KEPT and not reads and not object_only) or (name == STACKS and saver.behind):
            try:
                await asyncio.get_running_loop().run_in_executor(thread, saver.save, key)
            except OSError as error:
                return failure(name, headers, body, f"the local target cannot write its state: {error}")
        return response

    return handle


def _reads(method: str, headers: dict, query_params: dict, body: bytes) -> bool:
    """Whether a request only reads, as far as its operation's name tells. In doubt it writes."""
    operation = headers.get("x-amz-target", "").rpartition(".")[2]
    if not operation:
        operation = next(iter(query_params.get("Action") or []), "")
    if not operation and body.startswith(b"Action="):
        operation = body[7:80].split(b"&")[0].decode("ascii", "replace")
    if operation:
        return operation.startswith(_READS)
    return method in ("GET", "HEAD", "OPTIONS")


def _stores() -> dict[str, Store]:
    stores = {
        key: Store(whole=_cheap(get_state))
        for key, get_state in app._build_persistence_save_dict().items()
        # The module is there as soon as its import begins: its stacks would be saved as none.
        if key != STACKS or stacks.ready()
    }
    if EXECUTIONS in stores:
        stores[EXECUTIONS] = Store(
            whole=_without(stores[EXECUTIONS].whole, "executions"), items=_executions, busy=_executing
        )
    if LOGS in stores:
        # log_records repeats every event for GetLogRecord, whose pointers live as long as their query.
        stores[LOGS] = Store(whole=_groups_without_events, items=_streams)
    if METRICS in stores:
        stores[METRICS] = Store(whole=_without(stores[METRICS].whole, "metrics"), items=_series)
    if STACKS in stores:
        stores[STACKS] = Store(whole=stores[STACKS].whole, busy=stacks.changing)
        if stacks.changing():
            # The resources of a stack that is being made appear without a request.
            stores |= {
                key: Store(whole=store.whole, items=store.items, busy=lambda: True)
                for key, store in stores.items()
            }
    return stores


def _cheap(get_state: Any) -> Any:
    """MiniStack's get_state without its deep copies, where copying stores is all that it does."""
    code = get_state.__code__
    if "copy" not in code.co_names or any(
        not n.startswith("_") for n in {*code.co_names} - {"copy", "deepcopy"}
    ):
        return get_state
    # A plain {"name": copy.deepcopy(_store), ...}: run it with a `copy` that hands the store over as it is.
    return lambda: FunctionType(code, {**get_state.__globals__, "copy": _Shallow})()


def _without(whole: Any, name: str) -> Any:
    return lambda: {key: value for key, value in whole().items() if key != name}


# -- executions ------------------------------------------------------------------------------------------


def _executions() -> Iterator[Item]:
    from ministack.services import stepfunctions

    for key, record in list(stepfunctions._executions._data.items()):
        yield Item(key, _execution_signature(record), record)


def _execution_signature(record: dict[str, Any]) -> Any:
    return record.get("status"), record.get("stopDate"), len(record.get("events") or ())


def _executing() -> bool:
    from ministack.services import stepfunctions

    records = list(stepfunctions._executions._data.values())
    return any(record.get("status") in ("RUNNING", "PENDING_REDRIVE") for record in records)


# -- log streams -----------------------------------------------------------------------------------------


def _groups_without_events() -> dict[str, Any]:
    from ministack.services import cloudwatch_logs

    state = _cheap(cloudwatch_logs.get_state)()
    groups = AccountRegionScopedDict()
    for key, group in list(state["log_groups"]._data.items()):
        groups._data[key] = {name: value for name, value in group.items() if name != "streams"}
    return {**{name: value for name, value in state.items() if name != "log_records"}, "log_groups": groups}


def _stream_signature(stream: dict[str, Any]) -> Any:
    return stream.get("creationTime"), len(stream.get("events") or ()), stream.get("lastIngestionTime")


def _streams() -> Iterator[Item]:
    from ministack.services import cloudwatch_logs

    for key, group in list(cloudwatch_logs._log_groups._data.items()):
        for name, stream in list(group.get("streams", {}).items()):
            yield Item((*key, name), _stream_signature(stream), stream)


# -- metrics ---------------------------------------------------------------------------------------------


def _series_signature(points: list[dict[str, Any]]) -> Any:
    return len(points), points[-1].get("Timestamp") if points else None


def _series() -> Iterator[Item]:
    from ministack.services import cloudwatch

    for (account, region, name), points in list(cloudwatch._metrics._data.items()):
        yield Item((account, region, *name), _series_signature(points), points)


# -- loading -----------------------------------------------------------------------------------------------


_SIGNATURES: dict[str, Callable[[Any], Any]] = {
    EXECUTIONS: _execution_signature,
    LOGS: _stream_signature,
    METRICS: _series_signature,
}


def _load(saver: Saver, key: str) -> Any:
    data = theirs.load_state(key)
    if key not in _SIGNATURES:
        return data
    items = list(read_items(context.paths().services, key, _decode))
    saver.adopt(key, {item_key: _SIGNATURES[key](value) for item_key, value in items})
    if data is None and not items:
        return None
    data = data or {}
    if key == EXECUTIONS:
        executions = AccountRegionScopedDict()
        executions._data.update(dict(items))
        return {**data, "executions": executions}
    if key == METRICS:
        # As they were written before they were items.
        metrics = data.setdefault("metrics", AccountRegionScopedDict())
        metrics._data.update(
            {(account, region, tuple(name)): points for (account, region, *name), points in items}
        )
        return data
    groups = data.setdefault("log_groups", AccountRegionScopedDict())
    for group in groups._data.values():
        group["streams"] = {}
    for (account, region, group_name, stream_name), stream in items:
        found = groups._data.get((account, region, group_name))
        if found is not None:
            found["streams"][stream_name] = stream
    return data


def _encode(state: Any) -> str:
    return json.dumps(state, default=theirs._json_default)


def _decode(text: str) -> Any:
    return json.loads(text, object_hook=theirs._json_object_hook)
