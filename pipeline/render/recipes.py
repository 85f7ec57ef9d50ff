"""What of a state machine decides what a run makes: hashes of it for each step, the gate and the serving.

A job whose tag `fingerprint` is `$.run.fingerprints.<step>` is a step: it may be found again by that tag. A
run of a Glue job has no tags: it is known by its argument `--FINGERPRINT`. Jobs without either count into
every step, since anything may depend on what they leave. The function check_data adds the data and the image.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from pipeline.errors import DefinitionError
from pipeline.names import BUILD_TAG
from pipeline.render.model import canonical
from pipeline.render.tasks import call, tasks

_STEP = re.compile(r"\$\.run\.fingerprints\.(\w+)")
_CHANNEL = re.compile(r"\$\.run\.channels\['([^']+)'\]")
# Of jobs: names, addresses, rights, and what decides how fast or how safely the same is made.
_NOT_DECISIVE = {
    "CheckpointConfig",
    "DebugHookConfig",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "ExperimentConfig",
    "NumberOfWorkers",
    "OutputDataConfig",
    "ProcessingOutputConfig",
    "ProfilerConfig",
    "ProfilerRuleConfigurations",
    "RetryStrategy",
    "RoleArn",
    "StoppingCondition",
    "Tags",
    "TensorBoardOutputConfig",
    "Timeout",
    "VpcConfig",
    "WorkerType",
}
# What is read out of the log changes nothing in the model.
_NOT_OF_THE_PROGRAM = {"MetricDefinitions", "EnableSageMakerMetricsTimeSeries"}
# The pipeline's own image counts by its digest; one that is written out, such as an algorithm's, by its tag.
_OWN_IMAGE = "${ImageUri}"
# The same, of a run that had it built: its tag stands for its content either way.
_BUILT_IMAGE = "$.image.uri"
_IMAGES = {"TrainingImage", "ImageUri"}

# Arguments of a Glue run that say where something lies, or what it is known by.
_NOT_OF_THE_SCRIPT = {"--FINGERPRINT", "--OUTPUT_PATH"}
# Those that name code in the account's bucket by its content: the bucket is another one in another account.
_CODE = {"--scriptLocation", "--extra-py-files"}

# What the endpoint is; how it gets there (rollout, alarms of a deployment) waits for the next deployment.
_SERVING = {
    ("sagemaker", "CreateModel"),
    ("sagemaker", "CreateEndpointConfig"),
    ("applicationautoscaling", "RegisterScalableTarget"),
    ("applicationautoscaling", "PutScalingPolicy"),
}


def recipes(asl: dict[str, Any]) -> dict[str, Any]:
    """`{"steps": [{"name", "recipe", "channels", "after", "image"}], "gate": hash, "serving": hash}`.

    Each step stands after those it builds on.

    Raises:
        DefinitionError: two jobs have the same fingerprint, or build on each other in a circle.
    """
    steps: dict[str, dict[str, Any]] = {}
    results: dict[str, str] = {}
    loose: dict[str, Any] = {}
    rules: dict[str, Any] = {}
    serving: dict[str, Any] = {}
    for name, state in tasks(asl):
        called = call(str(state.get("Resource", "")))
        parameters = state.get("Parameters", {})
        if called and _builds_own_image(parameters):
            # It counts where a job runs it, by its tag.
            continue
        if called and called.pattern == "sync":
            tagged = _tagged(parameters)
            step = _STEP.fullmatch(tagged)
            if step is None:
                # One tagged otherwise makes nothing that the model is made of: the champion's evaluation.
                loose |= {} if tagged else {name: _decisive(parameters)}
                continue
            if step[1] in steps:
                raise DefinitionError(f"two jobs have the fingerprint {step[1]!r}, the second is {name}")
            steps[step[1]] = parameters
            results[step[1]] = str(state.get("ResultPath", "$"))
        elif called and (called.service, called.operation) in _SERVING:
            serving[name] = {k: v for k, v in parameters.items() if not _is_address(k)}
        elif "rules" in parameters.get("Payload", {}):
            rules[name] = parameters["Payload"]["rules"]
    return {
        "steps": _ordered([_step(n, p, results, loose) for n, p in sorted(steps.items())]),
        "gate": _hash([rules, loose]),
        "serving": _hash(serving),
    }


def _builds_own_image(parameters: dict[str, Any]) -> bool:
    """Whether a Task starts a build that is told the tag of the pipeline's own image, itself or by Lambda."""
    request = parameters.get("Payload", {}).get("request") or parameters
    variables = request.get("EnvironmentVariablesOverride") if isinstance(request, dict) else None
    return any(isinstance(each, dict) and each.get("Name") == BUILD_TAG for each in variables or [])


def _tagged(parameters: dict[str, Any]) -> str:
    """The path in a job's tag or argument `fingerprint`; "" without one."""
    arguments = parameters.get("Arguments")
    if isinstance(arguments, dict):
        return str(arguments.get("--FINGERPRINT.$") or arguments.get("--FINGERPRINT") or "")
    tags = parameters.get("Tags")
    if not isinstance(tags, list):
        return ""
    own = (tag for tag in tags if isinstance(tag, dict) and tag.get("Key") == "fingerprint")
    return next((str(tag.get("Value.$") or tag.get("Value") or "") for tag in own), "")


def _step(
    name: str, parameters: dict[str, Any], results: dict[str, str], loose: dict[str, Any]
) -> dict[str, Any]:
    decisive = _decisive(parameters)
    text = canonical(decisive)
    return {
        "name": name,
        "recipe": _hash([decisive, loose]),
        "channels": sorted(set(_CHANNEL.findall(text))),
        "after": sorted(
            other
            for other, path in results.items()
            if other != name and re.search(re.escape(path) + r"(?!\w)", text)
        ),
        "image": any(f'"{each}"' in canonical(parameters) for each in (_OWN_IMAGE, _BUILT_IMAGE)),
    }


def _decisive(parameters: dict[str, Any]) -> dict[str, Any]:
    """A job's request without what changes nothing in its result; of its machines, how many there are."""
    found: dict[str, Any] = {}
    for key, value in parameters.items():
        plain = key.removesuffix(".$")
        if plain in _NOT_DECISIVE or _is_address(key):
            continue
        if plain in ("ResourceConfig", "ProcessingResources"):
            found["instances"] = _counts(value)
        elif plain == "NetworkConfig" and isinstance(value, dict):
            # A program that may call out may get anything from there.
            found[plain] = value.get("EnableNetworkIsolation", False)
        elif plain in ("AlgorithmSpecification", "AppSpecification") and isinstance(value, dict):
            found[plain] = _program(value)
        elif plain == "TrainingJobDefinition" and isinstance(value, dict):
            found[plain] = {**_decisive(value), "objective": _objective(parameters, value)}
        elif plain == "Arguments" and isinstance(value, dict):
            found[plain] = _arguments(value)
        else:
            found[key] = value
    return found


def _program(specification: dict[str, Any]) -> dict[str, Any]:
    found = {
        key: value
        for key, value in specification.items()
        if key not in _NOT_OF_THE_PROGRAM and value not in (_OWN_IMAGE, _BUILT_IMAGE)
    }
    # The same image of AWS's lies in another account of its own in each region.
    return {k: v.rpartition("/")[2] if k in _IMAGES and isinstance(v, str) else v for k, v in found.items()}


def _objective(parameters: dict[str, Any], definition: dict[str, Any]) -> list[Any]:
    """How a tuning job finds its objective in the log: by it the model is chosen."""
    config = parameters.get("HyperParameterTuningJobConfig") or {}
    name = (config.get("HyperParameterTuningJobObjective") or {}).get("MetricName")
    metrics = (definition.get("AlgorithmSpecification") or {}).get("MetricDefinitions") or []
    return [metric for metric in metrics if metric.get("Name") == name]


def _arguments(given: dict[str, Any]) -> dict[str, Any]:
    """Of a Glue run: its code by content, and all that the script may make something of."""
    found = {k: v for k, v in given.items() if k.removesuffix(".$") not in _NOT_OF_THE_SCRIPT}
    return {k: str(v).rpartition("/")[2] if k in _CODE else v for k, v in found.items()}


def _is_address(key: str) -> bool:
    plain = key.removesuffix(".$")
    return plain in ("Tags", "ExecutionRoleArn", "RoleArn") or plain.endswith(
        ("JobName", "ModelName", "ConfigName")
    )


def _counts(resources: Any) -> list[int]:
    """Instance counts, at whatever depth; a program on two machines need not give what it gives on one."""
    if isinstance(resources, dict):
        own = [resources["InstanceCount"]] if "InstanceCount" in resources else []
        return own + [count for value in resources.values() for count in _counts(value)]
    return [count for value in resources for count in _counts(value)] if isinstance(resources, list) else []


def _ordered(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    done: list[dict[str, Any]] = []
    left = list(steps)
    while left:
        known = {step["name"] for step in done}
        ready = next((step for step in left if known.issuperset(step["after"])), None)
        if ready is None:
            raise DefinitionError(
                f"jobs build on each other in a circle: {', '.join(step['name'] for step in left)}"
            )
        left.remove(ready)
        done.append(ready)
    return done


def _hash(data: Any) -> str:
    return hashlib.sha256(canonical(data).encode()).hexdigest()
