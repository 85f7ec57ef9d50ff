"""Rules on what must never be written down: webhook URLs, keys, tokens, passwords."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.check.cloudformation import section
from pipeline.check.rule import Hit, Path, rule
from pipeline.check.states import strings
from pipeline.check.subject import Subject

# Name -> what it looks like. The forms are those their issuers document.
_SECRETS = {
    "Slack webhook URL": r"https://hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_-]{10,}",
    "Slack token": r"\bxox[abeprs]-[A-Za-z0-9-]{10,}",
    "AWS access key id": r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b",
    "AWS secret access key": r"(?i)aws_?secret_?access_?key[\"']?\s*[:=]\s*[\"']?[A-Za-z0-9/+=]{40}\b",
    "private key": r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----",
    "GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})",
    "URL with a password": r"\b[a-z][a-z0-9+.-]*://[^/\s:@{}$]+:[^/\s:@{}$]{3,}@[\w.-]+",
    "Discord or Teams webhook URL": r"https://(?:discord(?:app)?\.com/api/webhooks|[\w.-]+\.webhook\.office\.com)/\S{10,}",
    "Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}",
}
_ASSIGNED = re.compile(
    r"""(?ix)(?P<name>["']?[\w-]*(?:passw(?:or)?d|api_?key|access_?token|auth_?token|client_?secret|secret_?key)["']?)
    \s*[:=]\s*(?P<quote>["'])(?P<value>[^"'\s${}]{8,})(?P=quote)"""
)
_PATTERNS = {name: re.compile(pattern) for name, pattern in _SECRETS.items()}
_FIX = "revoke it, put the new one into Secrets Manager and refer to it by name"


def _found(text: str) -> Iterator[tuple[int, str]]:
    """Every (offset, what it is); never the secret itself."""
    for name, pattern in _PATTERNS.items():
        for match in pattern.finditer(text):
            yield match.start(), name
    for match in _ASSIGNED.finditer(text):
        yield match.start(), f"value of {match['name'].strip(chr(34) + chr(39))}"


@rule(
    "ML501",
    "no secret is written down: not in the template, definition, settings or a file beside them",
    "https://docs.aws.amazon.com/secretsmanager/latest/userguide/best-practices.html",
)
def plain_secret(subject: Subject) -> Iterator[Hit]:
    for part, value in (("asl", subject.asl), ("template", subject.template), ("settings", subject.settings)):
        for path, text in strings(value):
            if part == "template" and path and path[-1] == "DefinitionString":
                continue  # the definition itself, told above
            for _, name in _found(_assignment(path, text)):
                yield Hit(part, path, f"{name} in plain text", _FIX)  # type: ignore[arg-type]
    for file, text in subject.files.items():
        for offset, name in _found(text):
            line = text.count("\n", 0, offset) + 1
            yield Hit("file", (file, line), f"{name} in plain text", _FIX)


def _assignment(path: Path, text: str) -> str:
    """A value with its key before it, so that `password: …` is seen in data as it is in text."""
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    return f'{key} = "{text}"'


_SECRET_NAME = re.compile(r"(?i)passw(or)?d|webhook|hook_?url|api_?key|token$|secret$")


@rule(
    "ML502",
    "a template parameter for a secret has NoEcho and no default",
    "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/security-best-practices.html#creds",
)
def secret_parameter(subject: Subject) -> Iterator[Hit]:
    for name, parameter in section(subject.template, "Parameters").items():
        if not isinstance(parameter, dict) or not _SECRET_NAME.search(name):
            continue
        at = ("Parameters", name)
        if str(parameter.get("NoEcho")).lower() != "true":
            fix = "pass the secret's ARN, or set NoEcho: true"
            yield Hit("template", at, f"parameter {name} shows its value to all who see the stack", fix)
        if parameter.get("Default"):
            yield Hit(
                "template",
                (*at, "Default"),
                f"parameter {name} has its value in the template",
                "drop Default",
            )
