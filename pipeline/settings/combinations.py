"""What each value alone cannot show: settings that are valid one by one and impossible together.

Works on the merged plain tables, so that it also speaks when another key of the same table is wrong, and
all errors come out at once.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipeline.settings.algorithm_problems import algorithm_problems
from pipeline.settings.gate_problems import gate_problems
from pipeline.settings.hosting_problems import hosting_problems
from pipeline.settings.monitor_problems import monitor_problems
from pipeline.settings.quality_problems import quality_problems
from pipeline.settings.toml_file import Key
from pipeline.settings.transform_problems import transform_problems
from pipeline.settings.tuning_problems import tuning_problems

Problem = tuple[Key, str, str]
"""The key it is about, what is wrong, what to do."""

# A training job's name is `<name>-<environment>-<YYYYMMDD>-<8 hex>-<retry>` and may have 63 characters
# (SageMaker's TrainingJobName), which leaves this many for `<name>-<environment>`.
LONGEST_STACK_NAME = 63 - len("-YYYYMMDD-01234567-99")


def _table(value: Any, *names: str) -> dict[str, Any]:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    ok = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if ok else None


def environment_problems(environment: dict[str, Any]) -> Iterator[Problem]:
    """Problems inside one environment's merged table."""
    yield from hosting_problems(environment)
    training = _table(environment, "training")
    if training.get("spot") is True:
        runtime = _number(training.get("max_runtime_seconds", 3600))
        wait = _number(training.get("max_wait_seconds"))
        if "max_wait_seconds" not in training:
            yield (
                ("training", "spot"),
                "spot = true needs max_wait_seconds, the time for waiting on capacity and running together",
                f"set max_wait_seconds to {int(runtime or 3600)} or more, or spot = false",
            )
        elif wait is not None and runtime is not None and wait < runtime:
            yield (
                ("training", "max_wait_seconds"),
                f"{int(wait)} is less than max_runtime_seconds = {int(runtime)}; it covers both",
                f"set it to {int(runtime)} or more",
            )
    if ("budget_usd_per_month" in environment) != ("budget_email" in environment):
        missing = "budget_email" if "budget_usd_per_month" in environment else "budget_usd_per_month"
        yield (
            (missing,),
            "a budget is an amount and somebody to tell",
            f"set {missing} too, or drop the other",
        )
    notification = _table(environment, "notification")
    if notification.get("enabled") is True:
        for key in ("slack_secret", "channel"):
            if not notification.get(key):
                yield (("notification", key), f"enabled = true needs {key}", f"set {key}, or enabled = false")
    for name in _table(environment, "tags"):
        if name.lower().startswith("aws:"):
            yield (("tags", name), "tag keys that start with aws: are reserved by AWS", "choose another key")
    secret = notification.get("slack_secret")
    if isinstance(secret, str) and secret.startswith(("http:", "https:")):
        yield (
            ("notification", "slack_secret"),
            "is a URL; it must be the name of a secret that holds the URL",
            "put the URL into Secrets Manager and its name here",
        )


def pipeline_problems(pipeline: dict[str, Any]) -> Iterator[Problem]:
    """Problems inside one pipeline's merged table."""
    yield from gate_problems(pipeline.get("gate"), _table(pipeline, "champion"))
    yield from _metric_problems(pipeline.get("metrics"))
    yield from _channel_problems(_table(pipeline, "data", "channels"))
    yield from transform_problems(_table(pipeline, "data", "channels"), _table(pipeline, "transforms"))
    yield from quality_problems(_table(pipeline, "data", "channels"), _table(pipeline, "transforms"))
    yield from tuning_problems(pipeline)
    yield from algorithm_problems(pipeline)
    yield from monitor_problems(pipeline)
    yield from _schedule_problems(_table(pipeline, "schedule"))
    yield from _smoke_problems(_table(pipeline, "smoke"))
    for key, what, hint in _schedule_problems(_table(pipeline, "monitor", "schedule")):
        yield ("monitor", *key), what, hint
    for name, value in _table(pipeline, "hyperparameters").items():
        if isinstance(value, float) and not math.isfinite(value):
            yield (("hyperparameters", name), f"{value} is not a finite number", "")


def _smoke_problems(smoke: dict[str, Any]) -> Iterator[Problem]:
    body = smoke.get("body")
    if smoke.get("encoding") == "base64" and isinstance(body, str):
        try:
            base64.b64decode(body, validate=True)
        except ValueError as error:
            yield ("smoke", "body"), f"is not base64: {error}", "base64 -w0 FILE prints what belongs here"


def _metric_problems(metrics: Any) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, metric in enumerate(metrics if isinstance(metrics, list) else []):
        if not isinstance(metric, dict):
            continue
        name, regex = metric.get("name"), metric.get("regex")
        if isinstance(name, str):
            if name in seen:
                yield (
                    ("metrics", index, "name"),
                    f"{name!r} is defined twice",
                    "give each metric its own name",
                )
            seen.add(name)
        if isinstance(regex, str):
            try:
                groups = re.compile(regex).groups
            except re.error as error:
                yield (("metrics", index, "regex"), f"{regex!r} is no regular expression: {error}", "")
                continue
            if groups != 1:
                yield (
                    ("metrics", index, "regex"),
                    f"{regex!r} has {groups} groups; exactly one must hold the value",
                    r"such as '\bvalidation_loss=([0-9.eE+-]+);'",
                )


def _channel_problems(channels: dict[str, Any]) -> Iterator[Problem]:
    uses = [c.get("use", "train") for c in channels.values() if isinstance(c, dict)]
    for use, why in (("train", "nothing to train on"), ("evaluate", "no held-out data to pass the gate on")):
        if channels and uses and use not in uses:
            yield (
                ("data", "channels"),
                f'no channel has use = "{use}": {why}',
                f'add a channel with use = "{use}"',
            )
    prefixes: dict[str, str] = {}
    for name, channel in channels.items():
        prefix = channel.get("prefix") if isinstance(channel, dict) else None
        if isinstance(prefix, str):
            if prefix in prefixes:
                yield (
                    ("data", "channels", name, "prefix"),
                    f"{prefix!r} is also the prefix of channel {prefixes[prefix]!r}",
                    "give each channel data of its own",
                )
            prefixes[prefix] = name


def _schedule_problems(schedule: dict[str, Any]) -> Iterator[Problem]:
    timezone, expression = schedule.get("timezone"), schedule.get("expression")
    if isinstance(timezone, str):
        try:
            ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            yield (
                ("schedule", "timezone"),
                f"{timezone!r} is no IANA time zone",
                "such as UTC or Europe/Berlin",
            )
    if not isinstance(expression, str):
        return
    cron = re.fullmatch(r"cron\((.*)\)", expression)
    if cron:
        fields = cron[1].split()
        if len(fields) != 6:
            yield (
                ("schedule", "expression"),
                f"{expression!r} has {len(fields)} fields; it needs minutes hours day month weekday year",
                "such as cron(0 3 * * ? *)",
            )
        elif (fields[2] == "?") == (fields[4] == "?"):
            yield (
                ("schedule", "expression"),
                f"{expression!r}: exactly one of day-of-month and day-of-week must be ?",
                "such as cron(0 3 * * ? *)",
            )
    rate = re.fullmatch(r"rate\((.*)\)", expression)
    if rate:
        parts = re.fullmatch(r"([1-9]\d*) (minute|hour|day)(s?)", rate[1])
        if not parts or (parts[1] == "1") == bool(parts[3]):
            yield (
                ("schedule", "expression"),
                f"{expression!r} is no rate",
                "such as rate(1 day) or rate(12 hours)",
            )


def project_problems(project: dict[str, Any]) -> Iterator[Problem]:
    """Problems of the project's own table."""
    name = project.get("name")
    if isinstance(name, str) and name.lower().startswith(("aws", "ssm")):
        # The watermark is the parameter /<project>/…, and PutParameter refuses these.
        yield (
            ("name",),
            f"{name!r} starts with aws or ssm, which AWS keeps for itself",
            "choose another name",
        )
    github = _table(project, "github")
    if ("owner_id" in github) != ("repository_id" in github):
        missing = "owner_id" if "repository_id" in github else "repository_id"
        yield (
            ("github", missing),
            "GitHub's tokens carry both ids or none",
            "set both: gh api repos/OWNER/NAME --jq '.owner.id, .id'",
        )


def promotion_problems(environments: dict[str, dict[str, Any]]) -> Iterator[tuple[str, Problem]]:
    """Environments that promote from one that is not there, or in a circle: (environment, problem)."""
    sources = {name: table.get("promote_from") for name, table in environments.items()}
    for name, source in sources.items():
        if not isinstance(source, str):
            continue
        if source not in environments:
            hint = f"known: {', '.join(environments)}"
            yield name, (("promote_from",), f"{source!r} is not an environment of this file", hint)
            continue
        way = [name]
        while isinstance(source, str) and source not in way:
            way.append(source)
            source = sources.get(source)
        if source == name:
            circle = " <- ".join([*way, name])
            yield name, (("promote_from",), f"promotes in a circle: {circle}", "take one of them away")


def name_problems(name: str, environment: str) -> Iterator[Problem]:
    """Names that are too long for what is made of them."""
    stack = f"{name}-{environment}"
    if len(stack) > LONGEST_STACK_NAME:
        yield (
            (),
            f"{stack!r} has {len(stack)} characters; job names leave it {LONGEST_STACK_NAME}",
            "shorten the pipeline's folder name or the environment's name",
        )
