"""Rules on the template that cfn-lint has not: references, substitutions, encryption, exposure, logs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

from pipeline.check.cloudformation import PSEUDO, as_list, of_type, policies, references, resources, section
from pipeline.check.rule import Hit, rule
from pipeline.check.states import strings
from pipeline.check.subject import Subject

INTRINSIC = "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html"
MACHINE = "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-stepfunctions-statemachine.html"
S3 = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/security-best-practices.html"


@rule("ML301", "every Ref, GetAtt, Condition and DependsOn names something in the template", INTRINSIC)
def undefined_reference(subject: Subject) -> Iterator[Hit]:
    template = subject.template
    known = set(resources(template))
    parameters, conditions = set(section(template, "Parameters")), set(section(template, "Conditions"))
    allowed = {"Ref": known | parameters | set(PSEUDO), "GetAtt": known, "Condition": conditions}
    for name in ("Resources", "Outputs", "Conditions", "Rules"):
        for path, kind, target in references(section(template, name), (name,)):
            if target not in allowed[kind]:
                yield Hit(
                    "template",
                    path,
                    f"{kind} of {target!r}, which the template does not define",
                    _near(target, allowed[kind]),
                )
    for name, resource in resources(template).items():
        for target in as_list(resource.get("DependsOn")):
            if target not in known:
                at = ("Resources", name, "DependsOn")
                yield Hit("template", at, f"DependsOn {target!r}, which is no resource", _near(target, known))


def _near(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return (
        f"did you mean {near[0]!r}?"
        if near
        else "define it, or refer to one of: " + ", ".join(sorted(known)[:20])
    )


@rule("ML302", "every ${Token} of the definition is substituted, and every substitution is used", MACHINE)
def substitutions(subject: Subject) -> Iterator[Hit]:
    name, properties = subject.machine
    if not name:
        return
    used: dict[str, tuple[str | int, ...]] = {}
    for path, value in strings(subject.asl):
        for token in re.findall(r"\$\{([^}]+)\}", value):
            used.setdefault(token, path)
    given = properties.get("DefinitionSubstitutions") or {}
    for token in sorted(set(used) - set(given)):
        fix = f"add {token} to DefinitionSubstitutions of {name}"
        yield Hit("asl", used[token], f"${{{token}}} is not substituted and reaches AWS as text", fix)
    for token in sorted(set(given) - set(used)):
        at = ("Resources", name, "Properties", "DefinitionSubstitutions", token)
        yield Hit("template", at, f"{token} is substituted for nothing", "drop it")


@rule("ML303", "what is stored is encrypted", S3)
def unencrypted(subject: Subject) -> Iterator[Hit]:
    for kind, key in (
        ("AWS::S3::Bucket", "BucketEncryption"),
        ("AWS::SNS::Topic", "KmsMasterKeyId"),
        ("AWS::EFS::FileSystem", "Encrypted"),
    ):
        for name, properties in of_type(subject.template, kind):
            if not properties.get(key):
                yield Hit("template", ("Resources", name), f"{kind} without {key}", f"set {key}")
    for name, properties in of_type(subject.template, "AWS::SQS::Queue"):
        if not properties.get("KmsMasterKeyId") and properties.get("SqsManagedSseEnabled") is not True:
            fix = "set SqsManagedSseEnabled: true"
            yield Hit("template", ("Resources", name), "AWS::SQS::Queue is not said to be encrypted", fix)


_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


@rule(
    "ML304",
    "nothing is open to the public",
    "https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html",
)
def public(subject: Subject) -> Iterator[Hit]:
    for name, properties in of_type(subject.template, "AWS::S3::Bucket"):
        blocks = properties.get("PublicAccessBlockConfiguration") or {}
        missing = [key for key in _BLOCKS if blocks.get(key) is not True]
        if missing:
            at = ("Resources", name, "Properties", "PublicAccessBlockConfiguration")
            yield Hit(
                "template", at, f"public access is not blocked: {', '.join(missing)}", "set all four to true"
            )
        if str(properties.get("AccessControl", "")).startswith("Public"):
            at = ("Resources", name, "Properties", "AccessControl")
            yield Hit("template", at, f"AccessControl {properties['AccessControl']}", "drop it")
    for name, properties in of_type(subject.template, "AWS::Lambda::Url"):
        if properties.get("AuthType") == "NONE":
            yield Hit(
                "template", ("Resources", name), "a function URL without authorisation", "AuthType: AWS_IAM"
            )
    for name, properties in of_type(subject.template, "AWS::Lambda::Permission"):
        if properties.get("Principal") == "*":
            yield Hit(
                "template", ("Resources", name), "everybody may invoke the function", "name the principal"
            )
    for policy in policies(subject.template):
        for body in as_list(policy.document.get("Statement")) if not policy.role else ():
            if (
                isinstance(body, dict)
                and body.get("Effect") == "Allow"
                and _everybody(body)
                and not body.get("Condition")
            ):
                yield Hit("template", policy.path, f"{policy.owner} allows everybody", "name the principal")


def _everybody(statement: dict[str, Any]) -> bool:
    principal = statement.get("Principal")
    return principal == "*" or (isinstance(principal, dict) and "*" in as_list(principal.get("AWS")))


@rule(
    "ML305",
    "every log group says how long it keeps its logs",
    "https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/Working-with-log-groups-and-streams.html",
    "warning",
)
def log_retention(subject: Subject) -> Iterator[Hit]:
    for name, properties in of_type(subject.template, "AWS::Logs::LogGroup"):
        if not properties.get("RetentionInDays"):
            what = "the log group keeps logs for ever, at a price"
            yield Hit("template", ("Resources", name), what, "set RetentionInDays")


@rule(
    "ML306",
    "a state machine logs and is traced, so that a failed run can be understood",
    "https://docs.aws.amazon.com/step-functions/latest/dg/monitoring-logging.html",
    "warning",
)
def observed(subject: Subject) -> Iterator[Hit]:
    for name, properties in of_type(subject.template, "AWS::StepFunctions::StateMachine"):
        if (properties.get("LoggingConfiguration") or {}).get("Level", "OFF") == "OFF":
            yield Hit(
                "template", ("Resources", name), "no logging", "set LoggingConfiguration, Level ERROR or ALL"
            )
        if (properties.get("TracingConfiguration") or {}).get("Enabled") is not True:
            yield Hit(
                "template", ("Resources", name), "no tracing", "set TracingConfiguration: {Enabled: true}"
            )
