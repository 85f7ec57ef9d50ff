"""Seam: CloudFormation's template checks. A reference to what a template does not define is refused.

MiniStack deploys it and puts the bare name where the value belongs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

PSEUDO = frozenset(
    "AWS::" + name
    for name in (
        "AccountId",
        "NoValue",
        "NotificationARNs",
        "Partition",
        "Region",
        "StackId",
        "StackName",
        "URLSuffix",
    )
)
_SUB = re.compile(r"\$\{([^!}][^}]*)\}")
_IN = "Template format error: Unresolved resource dependencies [{names}] in the {block} block of the template"
_GETATT = "Template error: instance of Fn::GetAtt references undefined resource {name}"


def install(engine: Any) -> None:
    """Check references wherever MiniStack checks a template."""
    theirs = engine._validate_template_statics

    def check(template: dict[str, Any]) -> None:
        theirs(template)
        problem = undefined(template)
        if problem:
            raise ValueError(problem)

    engine._validate_template_statics = check


def undefined(template: dict[str, Any]) -> str | None:
    """What AWS says about a template that refers to something it does not define; None: all is defined.

    A template with a transform is not judged: its macro may define the rest.
    """
    if template.get("Transform"):
        return None
    resources = template.get("Resources") or {}
    known = {*resources, *(template.get("Parameters") or {}), *PSEUDO}
    for block in ("Resources", "Outputs"):
        missing: list[str] = []
        for kind, name in _references(template.get(block) or {}):
            if kind == "GetAtt" and name not in resources:
                return _GETATT.format(name=name)
            if kind != "GetAtt" and name not in (resources if kind == "DependsOn" else known):
                missing.append(name)
        if missing:
            return _IN.format(names=", ".join(sorted(set(missing))), block=block)
    return None


def _references(value: Any) -> Iterator[tuple[str, str]]:
    """Every (kind, logical id) that a part of a template refers to."""
    if isinstance(value, list):
        for each in value:
            yield from _references(each)
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        if key == "Ref" and len(value) == 1 and isinstance(inner, str):
            yield "Ref", inner
        elif key == "Fn::GetAtt" and len(value) == 1:
            name = inner.split(".", 1)[0] if isinstance(inner, str) else inner[0] if inner else ""
            if isinstance(name, str):
                yield "GetAtt", name
            yield from _references(inner)
        elif key == "Fn::Sub" and len(value) == 1:
            yield from _substituted(inner)
        elif key == "DependsOn" and isinstance(value.get("Type"), str):
            names = inner if isinstance(inner, list) else [inner]
            yield from (("DependsOn", name) for name in names if isinstance(name, str))
        else:
            yield from _references(inner)


def _substituted(inner: Any) -> Iterator[tuple[str, str]]:
    text, own = inner, dict[str, Any]()
    if isinstance(inner, list):
        text, own = (inner[0] if inner else ""), (inner[1] if len(inner) > 1 else {})
        yield from _references(own)
    if not isinstance(text, str):
        return
    for name in _SUB.findall(text):
        name = name.strip()
        if name in own or name in PSEUDO:
            continue
        logical_id, dot, _ = name.partition(".")
        yield ("GetAtt" if dot else "Ref"), logical_id
