"""A plan's comment on a made-up change of iris: docs/reference/plan-comment.md, and what tests look at.

    python scripts/plan_example.py            print the page (`make docs` writes it)
    python scripts/plan_example.py --freeze   render iris anew into the fixture that the example starts from

The template is frozen, so that the page changes when the report does, and not with every change of a block.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
FROZEN = ROOT / "tests" / "fixtures" / "plan" / "iris.template.json"
DIGEST = "sha256:" + "3f" * 32
REGISTRY = "222222222222.dkr.ecr.eu-west-1.amazonaws.com/ml/iris"
Template = dict[str, Any]


def template() -> Template:
    """The frozen template of iris in staging."""
    found: Template = json.loads(FROZEN.read_text())
    return found


def changed(before: Template) -> Template:
    """The template after the made-up change: a state more, one less, rights, machines, code."""
    after = copy.deepcopy(before)
    resources = after["Resources"]
    machine = resources["StateMachine"]["Properties"]
    asl = json.loads(machine["DefinitionString"])
    _states(asl["States"])
    machine["DefinitionString"] = json.dumps(asl, sort_keys=True, separators=(",", ":"))
    statements = resources["TrainingRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    statements.append(
        {
            "Sid": "Reference",
            "Effect": "Allow",
            "Action": ["s3:GetObject"],
            "Resource": ["arn:aws:s3:::ml-222222222222-eu-west-1/reference/*"],
        }
    )
    gate = resources["GateRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    for statement in gate:
        if statement["Action"] == ["s3:ListBucket"]:
            statement["Condition"] = {"StringLike": {"s3:prefix": ["iris-staging/*"]}}
    resources["NotifyFunction"]["Properties"]["Code"]["S3Key"] = f"code/{'b' * 64}.zip"
    return after


def _states(states: dict[str, Any]) -> None:
    train = states["Train"]["Parameters"]
    train["HyperParameters"]["max_leaf_nodes"] = "7"
    train["ResourceConfig"]["InstanceType"] = "ml.m5.xlarge"
    variant = states["CreateEndpointConfig"]["Parameters"]["ProductionVariants"][0]
    variant["InitialInstanceCount"] = 2
    following = states["NotifyTrained"].get("Next", "")
    for state in states.values():
        if state.get("Next") == "NotifyTrained":
            state["Next"] = "Explain"
        for rule in [*state.get("Choices", []), *state.get("Catch", [])]:
            if rule.get("Next") == "NotifyTrained":
                rule["Next"] = "Explain"
    explain = copy.deepcopy(states["Evaluate"])
    explain["Next"], explain["ResultPath"] = following, None
    explain.pop("Catch", None)
    states["Explain"] = explain
    del states["NotifyTrained"]


def plan(before: Template | None, after: Template) -> Any:
    """The plan that leads from one template to the other, in staging."""
    from pipeline.aws.stacks import Stack
    from pipeline.plan import desired
    from pipeline.plan.model import ImageAction, Plan, UploadAction
    from pipeline.plan.registry import replaces

    given = {"ImageUri": f"{REGISTRY}@{DIGEST}", "ArtifactBucket": "ml-222222222222-eu-west-1"}
    tags = {"project": "ml", "environment": "staging"}
    standing = None
    if before is not None:
        standing = Stack(
            name="iris-staging", id="", status="UPDATE_COMPLETE", template=before, parameters=given, tags=tags
        )
    wanted = desired.DesiredStack("pipeline", "iris-staging", after, given, tags)
    account = desired.DesiredStack("account", "ml-account", {"Resources": {}}, {}, {})
    shared = Stack(name="ml-account", id="", status="UPDATE_COMPLETE", template={"Resources": {}})
    code = UploadAction("ml-222222222222-eu-west-1", f"code/{'b' * 64}.zip", "b" * 64, 2048, "notify", False)
    why = "the registry has it: same source, lock, base and build arguments"
    scan = "scanned 2026-11-21: no critical, 1 high finding"
    return Plan(
        name="iris",
        environment="staging",
        account="222222222222",
        region="eu-west-1",
        account_stack=desired.action(account, shared, replaces),
        uploads=(code,),
        image=ImageAction("ml/iris", "src-0123456789abcdef", DIGEST, given["ImageUri"], "reuse", why, scan),
        pipeline_stack=desired.action(wanted, standing, replaces),
    )


def facts() -> Any:
    """What a target might have answered."""
    from pipeline.cost import Duration
    from pipeline.plan.champion import Champion
    from pipeline.plan.observed import Facts
    from pipeline.plan.skips import Forecast

    none = "nothing completed is of this fingerprint"
    return Facts(
        Forecast(
            {
                "new": True,
                "date": "2026-11-21",
                "reason": "the data is the same; settings, code or image changed",
            },
            {
                "model": {
                    "reuse": False,
                    "route": "",
                    "why": "no approved model is of this fingerprint (3 looked at)",
                },
                "training": {"reuse": False, "why": none},
                "evaluation": {"reuse": False, "why": "the training is not an earlier one"},
            },
        ),
        {
            "training": Duration(94.0, "as iris-staging-20261121-0a1b2c3d-0-0-0 took"),
            "processing": Duration(71.0, "as iris-staging-20261121-0a1b2c3d-0-0-0 took"),
        },
        Champion(
            "iris-staging",
            "iris-staging-20261121-0a1b2c3d",
            "arn:aws:sagemaker:eu-west-1:222222222222:model-package/iris-staging/7",
            {"accuracy": 0.9333},
            "2026-11-20",
            run_seconds=431.0,
        ),
    )


def smoke() -> Any:
    """What the smoke run might have come to."""
    from pipeline.plan.report import Smoke

    gate = (("accuracy 0.95 meets minimum 0.88", True),)
    return Smoke("SUCCEEDED", 7.3, 9.8, {"accuracy": 0.95}, gate, approved=True)


def report(change: Callable[[Template], Template] = changed) -> tuple[Any, Any]:
    """Plan and report of a change of the frozen template."""
    from pipeline.plan.report import build

    before = template()
    made = plan(before, change(before))
    return made, build(made, facts(), smoke())


def page() -> str:
    """The reference page."""
    from pipeline.plan.report_markdown import markdown

    head = (
        "# A plan as a pull request's comment\n\n"
        "Generated by `make docs` from a made-up change of iris: what `pipeline plan iris --smoke --markdown "
        "FILE` writes. [How to read it](../how-to/review-a-change.md).\n\n"
    )
    return head + markdown(*report())


def freeze() -> None:
    """Render iris anew into the fixture."""
    from pipeline.plan.template import parse
    from pipeline.render import render
    from pipeline.settings import load

    FROZEN.parent.mkdir(parents=True, exist_ok=True)
    rendered = parse(render(load(ROOT, "iris", "staging")).template)
    FROZEN.write_text(json.dumps(rendered, sort_keys=True, separators=(",", ":")) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--freeze", action="store_true", help="render the fixture anew")
    if parser.parse_args().freeze:
        freeze()
    print(page(), end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
