"""A new model takes over by canary: it is watched, and taken back with the share of requests it was given.

All the while the endpoint is scaled by its load, which is held still during the shift, whatever comes of it.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import Cli
from tests.e2e.conftest import Iris, Slack
from tests.e2e.hosting.conftest import until

SHARE = 20  # percent
RESUMED = dict.fromkeys(
    ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended"), False
)
ROLLOUT = f"""
[environments.dev.endpoint]
capacity = "autoscaling"
autoscaling = {{ minimum = 2, maximum = 3, invocations_per_instance = 60 }}

[environments.dev.rollout]
shift = "canary"
percent = {SHARE}
wait_seconds = 300

[environments.dev.rollout.alarms]
errors_percent = 5
model = {{ name = "confidence", minimum = 0.4 }}
"""
FLAWED = """

_answered = 0
_whole = transform_fn


def transform_fn(model, body, content_type, accept):
    global _answered
    _answered += 1
    if _answered % 5 == 0:
        raise RuntimeError("every fifth request")
    return _whole(model, body, content_type, accept)
"""


class Requests:
    """Requests one after another while a block lasts; what was answered, and by what they failed."""

    def __init__(self, iris: Iris) -> None:
        self.failures: Counter[str] = Counter()
        self.answered = 0
        self._stop = threading.Event()
        self._runtime = iris.client("sagemaker-runtime")
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._runtime.invoke_endpoint(
                    EndpointName="iris-dev", ContentType="text/csv", Body="5.1,3.5,1.4,0.2"
                )["Body"].read()
                self.answered += 1
            except ClientError as error:
                self.failures[error.response["Error"]["Code"]] += 1
            time.sleep(0.02)

    def __enter__(self) -> Requests:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture(scope="module")
def rolling(cli: Cli, slack: Slack) -> Iris:
    """iris in dev with a canary, one model in service."""
    toml = cli.root / "pipeline.toml"
    toml.write_text(toml.read_text() + ROLLOUT)
    cli("local", "up")
    variables = json.loads(cli("local", "env", "--json").stdout)
    deployed = Iris(cli, slack, variables)
    deployed.client("secretsmanager").create_secret(Name="ml/slack-webhook", SecretString=slack.url)
    cli("apply", "iris", "--yes")
    deployed.run(deployed.day(1))
    return deployed


def test_a_model_that_fails_one_request_in_five_is_taken_back(rolling: Iris, slack: Slack) -> None:
    before = rolling.endpoint()["EndpointConfigName"]
    inference = rolling.root / "container/iris/inference.py"
    good = inference.read_text()
    inference.write_text(good + FLAWED)
    rolling.cli("apply", "iris", "--yes")
    with Requests(rolling) as requests:
        time.sleep(1)
        assert requests.failures == {} and requests.answered
        told = rolling.run(rolling.day(3), code=1)
        time.sleep(1)
    after = rolling.endpoint()
    assert (after["EndpointConfigName"], after["EndpointStatus"]) == (before, "InService")
    total = requests.answered + sum(requests.failures.values())
    assert set(requests.failures) == {"ModelError"}
    assert 0 < requests.failures["ModelError"] <= total * SHARE / 100
    alarm = _alarms(rolling, "ALARM")[0]["AlarmName"]
    assert alarm.endswith("-errors-percent") and before not in alarm
    for text in ("EndpointRolledBack", alarm):
        assert text in told
    assert slack.told("EndpointRolledBack", alarm)
    newest = rolling.client("sagemaker").list_model_packages(
        ModelPackageGroupName="iris-dev", SortBy="CreationTime", SortOrder="Descending"
    )["ModelPackageSummaryList"][0]
    assert newest["ModelApprovalStatus"] == "Rejected"
    assert rolling.answers()
    assert _scaling(rolling) == RESUMED
    inference.write_text(good)
    rolling.cli("apply", "iris", "--yes")


def test_a_good_model_takes_over_by_canary_and_its_own_metric_is_watched(rolling: Iris) -> None:
    before = rolling.endpoint()["EndpointConfigName"]
    pending: list[dict[str, Any]] = []
    suspended = []
    with Requests(rolling) as requests:
        until(lambda: _instances(rolling) == 3)
        run = rolling.cli.start("run", "iris", "--date", rolling.day(5), "--follow")
        while run.poll() is None:
            summary = rolling.endpoint().get("PendingDeploymentSummary")
            if summary:
                pending.append(summary)
                suspended.append(_scaling(rolling)["DynamicScalingInSuspended"])
            time.sleep(0.3)
        told = "".join(run.communicate())
    assert run.returncode == 0, told
    assert not requests.failures
    assert all(suspended) and _scaling(rolling) == RESUMED
    assert _instances(rolling) == 3, "the new fleet is as large as the load had made the old one"
    after = rolling.endpoint()
    assert after["EndpointConfigName"] != before
    shift = after["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert (shift["Type"], shift["CanarySize"]["Value"]) == ("CANARY", SHARE)
    seen = {s["ProductionVariants"][0]["VariantStatus"][0]["Status"] for s in pending}
    assert {"Creating", "ActivatingTraffic"} <= seen
    config = after["EndpointConfigName"]
    metrics = rolling.client("cloudwatch").list_metrics(Namespace="ml/Models", MetricName="confidence")
    values = [{d["Name"]: d["Value"] for d in metric["Dimensions"]} for metric in metrics["Metrics"]]
    assert {"EndpointConfigName": config} in values and {"EndpointConfigName": before} in values
    states = {alarm["AlarmName"]: alarm["StateValue"] for alarm in _alarms(rolling)}
    assert states[f"{config}-errors-percent"] == states[f"{config}-model-metric"] == "OK"
    kept = {name.rsplit("-", 2)[0] for name in states}
    configs = rolling.client("sagemaker").list_endpoint_configs(NameContains="iris-dev")["EndpointConfigs"]
    assert kept <= {each["EndpointConfigName"] for each in configs}, "no alarm outlives its configuration"


def _scaling(iris: Iris) -> dict[str, bool]:
    """Whether scaling is suspended; there is exactly one target, with its policy."""
    scaling = iris.client("application-autoscaling")
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 3)
    (policy,) = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 60
    return dict(target["SuspendedState"])


def _instances(iris: Iris) -> int:
    (variant,) = iris.endpoint()["ProductionVariants"]
    return int(variant["CurrentInstanceCount"])


def _alarms(iris: Iris, state: str | None = None) -> list[dict[str, Any]]:
    wanted = {"StateValue": state} if state else {}
    found = iris.client("cloudwatch").describe_alarms(AlarmNamePrefix="iris-dev-2", **wanted)
    return list(found["MetricAlarms"])


def test_down_takes_alarms_and_scaling_with_it(rolling: Iris) -> None:
    assert _alarms(rolling)
    rolling.cli("down", "iris", "--yes")
    assert _alarms(rolling) == []
    scaling = rolling.client("application-autoscaling")
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
