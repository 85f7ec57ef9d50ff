"""What a training container finds: its files under /opt/ml/input/config and its variables. No I/O.

Shapes as documented ("How Amazon SageMaker Provides Training Information") and as seen in containers.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pipeline.local.runner.instances import Resources

# The first host, and the only one of most jobs.
HOST = "algo-1"
GROUP = "homogeneousCluster"
# Where the hosts of a job meet, and what is there with and without network isolation.
INTERFACE = "lo"
INPUT = "/opt/ml/input"
MODEL = "/opt/ml/model"
OUTPUT = "/opt/ml/output"
CHECKPOINTS = "/opt/ml/checkpoints"
# The hyperparameter by which a tuning job tells its jobs what it looks for.
OBJECTIVE = "_tuning_objective_metric"


def hyperparameters(request: dict[str, Any]) -> dict[str, str]:
    """hyperparameters.json: names to strings, as the request has them."""
    return {name: str(value) for name, value in (request.get("HyperParameters") or {}).items()}


def input_data_config(request: dict[str, Any]) -> dict[str, dict[str, str]]:
    """inputdataconfig.json: a channel's name to how its data comes. FastFile reads as File, as on AWS."""
    default = request["AlgorithmSpecification"]["TrainingInputMode"]
    found = {}
    for channel in request.get("InputDataConfig") or []:
        source = channel["DataSource"].get("S3DataSource") or {}
        mode = channel.get("InputMode") or default
        entry = {
            "TrainingInputMode": "File" if mode == "FastFile" else mode,
            "S3DistributionType": source.get("S3DataDistributionType") or "FullyReplicated",
            "RecordWrapperType": channel.get("RecordWrapperType") or "None",
        }
        if channel.get("ContentType"):
            entry["ContentType"] = channel["ContentType"]
        found[channel["ChannelName"]] = entry
    return found


def hosts(count: int) -> list[str]:
    """Names of so many hosts: algo-1, algo-2, ..."""
    return [f"algo-{number}" for number in range(1, count + 1)]


def resource_config(instance_type: str, count: int = 1, current: str = HOST) -> dict[str, Any]:
    """resourceconfig.json as the host `current` of so many finds it."""
    names = hosts(count)
    return {
        "current_host": current,
        "current_instance_type": instance_type,
        "current_group_name": GROUP,
        "hosts": names,
        "instance_groups": [
            {"instance_group_name": GROUP, "instance_type": instance_type, "hosts": names},
        ],
        "network_interface_name": INTERFACE,
    }


def variables(
    request: dict[str, Any],
    arn: str,
    instance_type: str,
    resources: Resources,
    count: int = 1,
    current: str = HOST,
) -> dict[str, str]:
    """The container's variables: the platform's, the toolkit's SM_*, then the request's own, which win.

    count, current: how many hosts there are, and which of them this is.
    """
    # The toolkit keeps what the tuning service adds from the program's own.
    hyper = {name: value for name, value in hyperparameters(request).items() if name != OBJECTIVE}
    channels = input_data_config(request)
    cluster = resource_config(instance_type, count, current)
    found = {
        "TRAINING_JOB_NAME": request["TrainingJobName"],
        "TRAINING_JOB_ARN": arn,
        "SM_MODEL_DIR": MODEL,
        "SM_INPUT_DIR": INPUT,
        "SM_INPUT_CONFIG_DIR": f"{INPUT}/config",
        "SM_OUTPUT_DIR": OUTPUT,
        "SM_OUTPUT_DATA_DIR": f"{OUTPUT}/data",
        "SM_CHANNELS": _json(sorted(channels)),
        "SM_HPS": _json({name: _typed(value) for name, value in hyper.items()}),
        "SM_USER_ARGS": _json([part for name in sorted(hyper) for part in (f"--{name}", hyper[name])]),
        "SM_INPUT_DATA_CONFIG": _json(channels),
        "SM_RESOURCE_CONFIG": _json(cluster),
        "SM_CURRENT_HOST": current,
        "SM_CURRENT_INSTANCE_TYPE": instance_type,
        "SM_CURRENT_INSTANCE_GROUP": GROUP,
        "SM_HOSTS": _json(cluster["hosts"]),
        "SM_NETWORK_INTERFACE_NAME": INTERFACE,
        "SM_NUM_CPUS": str(resources.cpus),
        "SM_NUM_GPUS": str(resources.gpus),
        "SM_LOG_LEVEL": "20",
    }
    for name, entry in channels.items():
        if entry["TrainingInputMode"] == "File":
            found[f"SM_CHANNEL_{_variable(name)}"] = f"{INPUT}/data/{name}"
    for name, value in hyper.items():
        found[f"SM_HP_{_variable(name)}"] = value
    return found | dict(request.get("Environment") or {})


def checkpoint_path(request: dict[str, Any]) -> str:
    """Where the program keeps checkpoints."""
    return str((request.get("CheckpointConfig") or {}).get("LocalPath") or CHECKPOINTS).rstrip("/")


def _variable(name: str) -> str:
    return re.sub(r"\W", "_", name).upper()


def _typed(value: str) -> Any:
    """Hyperparameters are strings on the wire; the toolkit reads each as JSON where it is JSON."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
