"""The verbs of a job that only read the repository: context, affected, check."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pipeline.ci import affected as concern
from pipeline.ci import changes, say, stages
from pipeline.cli import _ci_job, _output

if TYPE_CHECKING:
    from pipeline.ci import Context
    from pipeline.ci.affected import Affected


def context(args: argparse.Namespace) -> int:
    """Print it."""
    found = _ci_job.context()
    if args.json:
        _output.print_json(found.as_dict())
    else:
        with say.no_commands():
            print(_output.table([(key, str(value)) for key, value in found.as_dict().items()]))
    return 0


def look(context: Context) -> Affected:
    """Whom this build is about."""
    from pipeline.ci import deployed

    root = _ci_job.root()
    base = ""
    if context.event == "push":
        base = deployed.last(context, root)
    return concern.find(root, changes.find(root, context, base))


def environments(context: Context, found: Affected) -> list[str]:
    """Where this event leads: merges to the first stage, tags to those after it."""
    root = _ci_job.root()
    goes = stages.find(root)
    wanted = goes.release if context.event == "tag" else goes.merge
    return [name for name in wanted if found.in_environment(name)]


def affected(args: argparse.Namespace) -> int:
    """Say it, and set the outputs that the other jobs go by."""
    context = _ci_job.context()
    found = look(context)
    where = environments(context, found)
    goes = stages.find(_ci_job.root())
    # A pull request shows what the merge does, and what the release would do after it.
    plans = [
        {"pipeline": each.name, "environment": environment}
        for each in found.pipelines
        for environment in (*goes.merge, *goes.release)
        if environment in each.environments
    ]
    anything = plans if context.event in ("pull_request", "merge_group") else where
    say.output("any", "true" if anything else "false")
    say.output("plans", plans)
    say.output("environments", where)
    say.output("stages", [*goes.merge, *goes.release])
    say.output("pipelines", [each.name for each in found.pipelines])
    if args.json:
        _output.print_json(
            {
                "why": found.why,
                "any": bool(anything),
                "plans": plans,
                "environments": where,
                "gone": found.gone,
            }
        )
    else:
        with say.no_commands():
            print(_lines(found))
    say.summary(_markdown(found))
    for name in found.gone:
        say.annotate(
            "warning", f"its definition was removed; what runs stays: pipeline down {name}", title=name
        )
    return 0


def check(_: argparse.Namespace) -> int:
    """The other verb, for those concerned, with findings where GitHub shows them."""
    from pipeline.cli import main

    found = look(_ci_job.context())
    names = [each.name for each in found.pipelines]
    if not names:
        print("nothing to check: no pipeline is concerned")
        return 0
    # Its own commands are the point, so they are not fenced in; their texts are escaped where they are made.
    return main(["check", *names, "--all-environments", "--format", "github"])


def _lines(found: Affected) -> str:
    lines = [found.why]
    for each in found.pipelines:
        lines.append(f"{each.name} in {', '.join(each.environments)}")
        lines += [f"    {reason}" for reason in each.why[:10]]
        lines += [f"    and {len(each.why) - 10} more"] if len(each.why) > 10 else []
    if not found.pipelines:
        lines.append("no pipeline is concerned: nothing to do")
    lines += [f"{len(found.ignored)} files decide nothing that is deployed"] if found.ignored else []
    return "\n".join(lines)


def _markdown(found: Affected) -> str:
    if not found.pipelines:
        return f"### No pipeline is concerned\n\n{_code(found.why)}"
    rows = [
        f"| {each.name} | {', '.join(each.environments)} | {'<br>'.join(map(_code, each.why[:5]))} |"
        for each in found.pipelines
    ]
    return "\n".join(["### Concerned", "", "| Pipeline | Environments | Because |", "|---|---|---|", *rows])


def _code(text: str) -> str:
    """A path, which is somebody's text, as a table can hold it."""
    return "`" + "".join(c if c.isprintable() and c not in "`|<>" else "?" for c in text) + "`"
