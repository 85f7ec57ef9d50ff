"""Deletes endpoint configs of this stack that newer deployments have replaced, with their models and alarms.

Event: {"endpoint_name", "endpoint_config_name"}. Environment: STACK_NAME, KEEP (superseded ones that stay for
rollback). Never touched: what the endpoint runs or is about to run, what is as new as that or newer (another
run may be deploying it), and names that are not `<stack>-<run id>`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import boto3
from botocore.exceptions import ClientError


@dataclass(frozen=True)
class Named:
    """An endpoint config or a model."""

    name: str
    created: datetime


# --- pure ---------------------------------------------------------------------------------------------------


def is_ours(name: str, stack_name: str) -> bool:
    """Whether this is `<stack>-<run id>`, and not of a stack whose name merely begins alike."""
    return re.fullmatch(re.escape(stack_name) + r"-\d{8}-[0-9a-f]{8}", name) is not None


def superseded(items: Iterable[Named], running: Collection[str], keep: int) -> list[Named]:
    """What to delete, oldest first: older than everything that runs, except the `keep` newest of those.

    Nothing when what runs is not among the items: then nobody knows what is older.
    """
    known = list(items)
    times = [item.created for item in known if item.name in running]
    if not times:
        return []
    older = sorted(
        (item for item in known if item.name not in running and item.created < min(times)),
        key=lambda item: (item.created, item.name),
    )
    return older[: max(0, len(older) - keep)]


def running_configs(endpoint: dict[str, Any]) -> set[str]:
    """The configs an endpoint runs, or is being moved to."""
    pending = endpoint.get("PendingDeploymentSummary") or {}
    return {name for name in (endpoint.get("EndpointConfigName"), pending.get("EndpointConfigName")) if name}


def alarms_of_others(alarms: Iterable[str], kept: Collection[str], stack_name: str) -> list[str]:
    """Alarms of this stack's endpoint configs, `<config>-<kind>`, but for those that are kept."""
    pattern = re.compile(rf"({re.escape(stack_name)}-\d{{8}}-[0-9a-f]{{8}})-[a-z0-9-]+")
    found = [(name, pattern.fullmatch(name)) for name in alarms]
    return sorted(name for name, match in found if match and match[1] not in kept)


def model_names(config: dict[str, Any]) -> set[str]:
    """The models a config serves, shadows included."""
    variants = [*config.get("ProductionVariants", []), *config.get("ShadowProductionVariants", [])]
    return {variant["ModelName"] for variant in variants if variant.get("ModelName")}


# --- at the edge --------------------------------------------------------------------------------------------


@cache
def client(service: str) -> Any:
    """One boto3 client of each service for the life of the function's process."""
    return boto3.client(service)


def log(event: str, **facts: Any) -> None:
    """One JSON line in the function's log."""
    print(json.dumps({"event": event, **facts}, default=str))


def list_named(operation: str, field: str, name_field: str, stack_name: str) -> list[Named]:
    """All of this stack's items of one kind."""
    pages = client("sagemaker").get_paginator(operation).paginate(NameContains=stack_name)
    return [
        Named(entry[name_field], entry["CreationTime"])
        for page in pages
        for entry in page[field]
        if is_ours(entry[name_field], stack_name)
    ]


def list_alarms(stack_name: str) -> list[str]:
    """Names of all alarms that begin with the stack's."""
    pages = client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{stack_name}-")
    return [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]]


def delete_alarms(names: Sequence[str]) -> tuple[list[str], list[dict[str, str]]]:
    """As delete(), 100 in one call: the API's most."""
    deleted, failed = [], []
    for start in range(0, len(names), 100):
        batch = list(names[start : start + 100])
        try:
            client("cloudwatch").delete_alarms(AlarmNames=batch)
        except ClientError as error:
            failed += [{"name": f"alarm/{n}", "why": error.response["Error"]["Message"]} for n in batch]
        else:
            deleted += [f"alarm/{name}" for name in batch]
    return deleted, failed


def delete(kind: str, items: Sequence[Named]) -> tuple[list[str], list[dict[str, str]]]:
    """Delete each; return the names deleted and, of the others, why not. One failure stops no other."""
    deleted, failed = [], []
    for item in items:
        try:
            if kind == "model":
                client("sagemaker").delete_model(ModelName=item.name)
            else:
                client("sagemaker").delete_endpoint_config(EndpointConfigName=item.name)
        except ClientError as error:
            failed.append({"name": f"{kind}/{item.name}", "why": error.response["Error"]["Message"]})
        else:
            deleted.append(f"{kind}/{item.name}")
    return deleted, failed


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """What was deleted, kept and not deletable. Raises ClientError when something cannot be read."""
    stack_name, keep = os.environ["STACK_NAME"], int(os.environ["KEEP"])
    endpoint = client("sagemaker").describe_endpoint(EndpointName=event["endpoint_name"])
    if endpoint["EndpointStatus"] != "InService":
        why = f"the endpoint is {endpoint['EndpointStatus']}; nothing is deleted while it is not InService"
        log("left_alone", why=why)
        return {"deleted": [], "kept": [], "failed": [], "why": why}

    running = running_configs(endpoint) | {event["endpoint_config_name"]}
    # Before the configs: an alarm is made after its config, so what has none then has lost it.
    alarms = list_alarms(stack_name)
    configs = list_named("list_endpoint_configs", "EndpointConfigs", "EndpointConfigName", stack_name)
    deleted, failed = delete("endpoint-config", superseded(configs, running, keep))

    # Of the models that no remaining config names, all that are older than those serving may go.
    kept = sorted(running | {item.name for item in configs if f"endpoint-config/{item.name}" not in deleted})
    models_of = {
        name: model_names(client("sagemaker").describe_endpoint_config(EndpointConfigName=name))
        for name in kept
    }
    in_use = {model for models in models_of.values() for model in models}
    serving = {model for name in running for model in models_of[name]}
    models = list_named("list_models", "Models", "ModelName", stack_name)
    old_models = [item for item in superseded(models, serving, 0) if item.name not in in_use]
    for done, not_done in (
        delete("model", old_models),
        delete_alarms(alarms_of_others(alarms, kept, stack_name)),
    ):
        deleted += done
        failed += not_done

    result = {"deleted": deleted, "kept": kept, "failed": failed}
    log("collected", endpoint=event["endpoint_name"], **result)
    return result
