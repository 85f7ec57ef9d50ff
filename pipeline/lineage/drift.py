"""What runs and is not what the repository says: stack, hand-made changes, endpoint. Reads only."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from pipeline.aws import stacks
from pipeline.aws.errors import code, message, told
from pipeline.aws.pace import Pace
from pipeline.errors import ApplyError
from pipeline.execution import monitor
from pipeline.names import Names
from pipeline.plan.planner import account_stack_name, compute
from pipeline.promote import history

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.plan.model import Plan
    from pipeline.settings.model import Settings

# A detection takes AWS about a second a resource.
LONGEST_SECONDS = 600
FEW = 12
# What runs themselves change, as they are meant to: the watermark.
_MOVING = {("Watermark", "/Value")}
_SAID = {"Add": "is missing", "Modify": "differs", "Replace": "differs", "Remove": "is not wanted"}
Kind = Literal["repository", "by hand", "endpoint", "requests"]


@dataclass(frozen=True)
class Drift:
    """One difference.

    Args:
        kind: between the repository and the stack, the stack and what it made, the last run and the
            endpoint, or the requests and the training data.
        where: the stack's resource, or the endpoint.
        what: one sentence.
        fix: what makes it go away.
    """

    kind: Kind
    where: str
    what: str
    fix: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def find(settings: Settings, clients: Clients, released: Callable[[str], Plan] | None = None) -> list[Drift]:
    """Every difference, of the pipeline and of the account stack that it stands on.

    Args:
        released: the plan of a commit's content. An environment that takes releases is held to what was
            released to it last: main goes on meanwhile, and that is no drift.

    Raises:
        ApplyError: AWS could not look at a stack.
        TargetError: AWS refuses to answer.
    """
    with told(clients.target.name):
        found = [*_repository(settings, _wanted(settings, clients, released))]
        for name in (account_stack_name(settings), settings.stack_name):
            stack = stacks.describe(clients, name)
            if stack is not None and stack.exists and not stack.in_progress:
                found += _by_hand(clients, name)
        return [*found, *_endpoint(settings, clients), *_requests(settings, clients)]


def _requests(settings: Settings, clients: Clients) -> Iterator[Drift]:
    """What the last comparison of requests found; where it started a run, that one tells."""
    last = monitor.last(settings, clients)
    if last is None:
        return
    fix = f"pipeline monitor {settings.name} -e {settings.environment_name}"
    where = Names.of(settings).monitor
    if last["status"] != "SUCCEEDED":
        yield Drift("requests", where, f"requests were not compared: {last['said']}", fix)
    elif last["drift"] and not last["run"]:
        yield Drift("requests", where, last["said"], fix)


def _wanted(settings: Settings, clients: Clients, released: Callable[[str], Plan] | None) -> Plan:
    """What would be applied: of the working tree, or of the commit that was released here last."""
    if released is not None and settings.environment.promote_from:
        stack = stacks.describe(clients, settings.stack_name)
        commit = (stack.parameters if stack else {}).get("GitSha", "")
        if re.fullmatch(r"[0-9a-f]{40}", commit):
            return released(commit)
    return compute(settings, clients)


def _repository(settings: Settings, plan: Plan) -> Iterator[Drift]:
    """What `apply` would change now."""
    for stack in plan.stacks:
        verb = "account up" if stack.kind == "account" else f"apply {settings.name}"
        fix = f"pipeline {verb} -e {settings.environment_name}"
        if stack.operation in {"create", "recreate"}:
            yield Drift("repository", stack.stack_name, "it is not deployed", fix)
            continue
        for change in stack.changes:
            paths = ", ".join(p.path for p in change.properties[:FEW])
            words = {
                "Add": "is missing",
                "Modify": "differs",
                "Replace": "differs",
                "Remove": "is not wanted",
            }
            what = words[change.action] + (f": {paths}" if paths else "")
            yield Drift("repository", f"{stack.stack_name}/{change.logical_id}", what, fix)
        for other in stack.other:
            yield Drift("repository", stack.stack_name, f"differs: {other.path}", fix)


def _by_hand(clients: Clients, name: str) -> Iterator[Drift]:
    """What somebody changed beside CloudFormation, as CloudFormation itself finds it."""
    api = clients.cloudformation
    detection = api.detect_stack_drift(StackName=name)["StackDriftDetectionId"]
    pace, began = Pace(first=0.2, longest=5), time.monotonic()
    while True:
        state = api.describe_stack_drift_detection_status(StackDriftDetectionId=detection)
        if state["DetectionStatus"] != "DETECTION_IN_PROGRESS":
            break
        if time.monotonic() - began > LONGEST_SECONDS:
            raise ApplyError("the drift detection does not end", where=name, hint="try again later")
        pace.wait()
    query: dict[str, Any] = {
        "StackName": name,
        "StackResourceDriftStatusFilters": ["MODIFIED", "DELETED"],
    }
    while True:
        page = api.describe_stack_resource_drifts(**query)
        for each in page["StackResourceDrifts"]:
            if not _moves(each):
                yield _resource(name, each)
        if not page.get("NextToken"):
            break
        query["NextToken"] = page["NextToken"]
    if state["DetectionStatus"] == "DETECTION_FAILED":
        # Some resource could not be read; what was found stands above.
        yield Drift(
            "by hand",
            name,
            f"not all of it could be looked at: {state.get('DetectionStatusReason', 'no reason given')}",
            "give the role that looks the right to read it",
        )


def _moves(each: dict[str, Any]) -> bool:
    paths = {(each["LogicalResourceId"], d["PropertyPath"]) for d in each.get("PropertyDifferences", [])}
    return bool(paths) and paths <= _MOVING


def _resource(stack: str, each: dict[str, Any]) -> Drift:
    where = f"{stack}/{each['LogicalResourceId']}"
    fix = f"undo it by hand, or bring it into the repository ({each.get('PhysicalResourceId', '')})"
    if each["StackResourceDriftStatus"] == "DELETED":
        return Drift("by hand", where, f"{each['ResourceType']} was deleted", "put it back, or apply anew")
    differences = [
        f"{d['PropertyPath']} is {_short(d['ActualValue'])}, not {_short(d['ExpectedValue'])}"
        for d in each.get("PropertyDifferences", [])
    ]
    return Drift("by hand", where, f"{each['ResourceType']}: {'; '.join(differences[:FEW])}", fix)


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:40]}...{text[-17:]}"


def _endpoint(settings: Settings, clients: Clients) -> Iterator[Drift]:
    """The endpoint against the last run that deployed, and against the settings."""
    name = settings.stack_name
    run = next((run for run in history.runs(settings, clients) if run.config), None)
    again = f"pipeline run {settings.name} -e {settings.environment_name} --force"
    try:
        endpoint = clients.sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if code(error) != "ValidationException" or "Could not find" not in message(error):
            raise
        if run is not None:
            yield Drift("endpoint", name, f"it is gone; the last run deployed {run.config}", again)
        return
    status = endpoint["EndpointStatus"]
    if status not in {"InService", "Updating", "Creating"}:
        yield Drift("endpoint", name, f"it is {status}: {endpoint.get('FailureReason', '-')}", again)
        return
    config = endpoint["EndpointConfigName"]
    if run is None:
        yield Drift("endpoint", name, f"it runs {config}, which no run has deployed", again)
    elif config != run.config and status == "InService":
        back = f"pipeline rollback {settings.name} -e {settings.environment_name}"
        what = f"it runs {config}; the last run deployed and tested {run.config}"
        yield Drift("endpoint", name, what, f"{again}, or {back}")
    # Another's config is drift by itself, and the plan role may not read what the pipeline did not make.
    elif status == "InService":
        yield from _variants(settings, clients, endpoint)


def _variants(settings: Settings, clients: Clients, endpoint: dict[str, Any]) -> Iterator[Drift]:
    """Weights and counts that were changed at the endpoint itself (UpdateEndpointWeightsAndCapacities)."""
    config = clients.sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    wanted = {each["VariantName"]: each for each in config["ProductionVariants"]}
    scaled = settings.environment.endpoint.autoscaling is not None
    fix = f"pipeline run {settings.name} -e {settings.environment_name} --force"
    for variant in endpoint.get("ProductionVariants", ()):
        mine = wanted.get(variant["VariantName"])
        if mine is None:
            continue
        weight, count = mine.get("InitialVariantWeight", 1.0), mine.get("InitialInstanceCount")
        if variant.get("DesiredWeight", weight) != weight:
            what = f"variant {variant['VariantName']} has weight {variant['DesiredWeight']:g}, not {weight:g}"
            yield Drift("endpoint", settings.stack_name, what, fix)
        # With autoscaling the count is not for us to say.
        now = variant.get("DesiredInstanceCount")
        if count and now and now != count and not scaled:
            what = f"variant {variant['VariantName']} has {now} instances, not {count}"
            yield Drift("endpoint", settings.stack_name, what, fix)


def markdown(found: list[Drift]) -> str:
    """The differences as a table, for an issue or a job's summary; empty without any."""
    if not found:
        return ""
    rows = [f"| {d.kind} | `{_cell(d.where)}` | {_cell(d.what)} | {_cell(d.fix)} |" for d in found]
    return "\n".join(["| drift | where | what | what to do |", "|---|---|---|---|", *rows]) + "\n"


def _cell(text: str) -> str:
    """Text of others, as a cell: no markup of theirs, no mention of anybody."""
    for sign, instead in (("&", "&amp;"), ("<", "&lt;"), ("|", "&#124;"), ("`", "'"), ("@", "&#64;")):
        text = text.replace(sign, instead)
    return " ".join(text.split())
