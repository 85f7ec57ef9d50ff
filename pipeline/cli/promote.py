"""`pipeline promote`: bring what one environment tested to the next, by a release tag; nothing is rebuilt."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.image.resolve import ImageSource
    from pipeline.promote.release import Released, Way
    from pipeline.promote.tags import Tag
    from pipeline.promote.tested import Tested

HELP = "bring the tested model of a release tag to production; nothing is built again"
EPILOG = """\
examples:
  git tag -a v1.2.3 -m "Release 1.2.3" && git push origin v1.2.3
  pipeline promote v1.2.3                   what staging serves goes to production
  pipeline promote v1.2.3 --dry-run         say what would be done, or why it is refused
  pipeline promote v1.2.3 --pipeline iris --no-follow --json

The tag must be annotated, a semantic version, and on main; staging must serve exactly what it holds. Image
and model are copied by digest and checksum. A pipeline that staging has not tested is left out, and it is
said, if the tag changes nothing of it or it is served nowhere yet; else nothing is released. Where production
asks for approval the run waits for it: pipeline approve iris -e production. Safe to interrupt and to run
again.

exit codes: 2 the tag is refused; 4 it was not tested, or a step failed; 1 the deployment did not end well
"""


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output, _target

    parser.add_argument("tag", metavar="TAG", help="an annotated tag, such as v1.2.3")
    parser.add_argument(
        "--pipeline", metavar="NAME", help="only this one (default: all that the source environment has)"
    )
    parser.add_argument("--to", metavar="ENV", default="production", help="default: production")
    parser.add_argument(
        "--main", metavar="REF", help="the branch releases come from (default: origin/main, else main)"
    )
    parser.add_argument(
        "--report", metavar="FILE", help="write as JSON what was released, and what was left out and why"
    )
    parser.add_argument("--dry-run", action="store_true", help="change nothing")
    parser.add_argument(
        "--follow",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="wait until it serves (default)",
    )
    parser.add_argument(
        "--target", choices=_target.TARGETS, default=None, help="default: $PIPELINE_TARGET, else local"
    )
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from pipeline import settings as _settings
    from pipeline.cli import _output
    from pipeline.promote import content, release, tags

    root = _settings.find_root()
    tag = tags.resolve(root, args.tag, args.main)
    _output.say(f"{tag.name} is {tag.commit[:12]} on {tag.main}, by {tag.tagger}")
    with content.checked_out(root, tag.commit) as copy:
        ways = _ways(args, root, copy, tag)
        # All are looked at before the first is touched.
        found, left_out = _find(args, ways)
        results, code = [], 0
        for way, tested, wanted in found:
            done = release.begin(way, tested, wanted)
            _output.say(
                f"{done.pipeline}: {done.origin} serves version {tested.package['ModelPackageVersion']}, "
                f"{done.how}"
            )
            results.append(done)
            if not args.dry_run:
                code = max(code, _release(args, way, tested, wanted, done, copy))
    if args.report:
        report = {"released": [done.as_dict() for done in results], "left_out": left_out}
        Path(args.report).write_text(json.dumps(report, indent=2, default=str), encoding="utf-8")
    if args.json:
        _output.print_json([done.as_dict() for done in results])
    else:
        for done in results:
            print(_describe(done))
    return code


def _ways(args: argparse.Namespace, root: Path, copy: Path, tag: Tag) -> list[Way]:
    """The pipelines to release, each with clients of both sides."""
    from pipeline import settings as _settings
    from pipeline.aws import stacks
    from pipeline.cli import _output, _target
    from pipeline.errors import SettingsError
    from pipeline.promote import release

    names = [args.pipeline] if args.pipeline else _settings.names(copy)
    ways: list[Way] = []
    for name in names:
        goal = _settings.load(copy, name, args.to)
        origin = _settings.load(copy, name, release.origin_of(goal))
        target = ways[0].target if ways else _target.connect_for(args, goal, root)
        source = (
            ways[0].source
            if ways
            else target.assume(release.role(origin), f"promote-{tag.name}"[:64], origin.environment.region)
        )
        if not args.pipeline and stacks.describe(source, origin.stack_name) is None:
            _output.say(f"{name}: not in {origin.environment_name}, so left out")
            continue
        ways.append(release.Way(root, tag, origin, goal, source, target))
    if not ways:
        raise SettingsError("no pipeline to promote", where=args.tag, hint="deploy one to the source first")
    return ways


def _find(
    args: argparse.Namespace, ways: list[Way]
) -> tuple[list[tuple[Way, Tested, ImageSource]], dict[str, str]]:
    """What is to be released, and why which pipeline is left out.

    Raises:
        NotTested: a pipeline that the tag changes is not tested, or none is.
    """
    from pipeline.cli import _output
    from pipeline.promote import release, untested
    from pipeline.promote.tested import NotTested

    found: list[tuple[Way, Tested, ImageSource]] = []
    left_out: dict[str, str] = {}
    first: NotTested | None = None
    for way in ways:
        try:
            found.append((way, *release.find(way)))
        except NotTested as error:
            why = "" if args.pipeline else untested.may_wait(way, error)
            if not why:
                raise
            first = first or error
            left_out[way.goal.name] = f"not tested in {way.origin.environment_name} ({error.what}); {why}"
            _output.say(f"{way.goal.name}: left out: {left_out[way.goal.name]}")
    if not found and first is not None:
        raise first
    return found, left_out


def _release(
    args: argparse.Namespace, way: Way, tested: Tested, wanted: ImageSource, done: Released, copy: Path
) -> int:
    """Carry one release out and follow it; the exit code."""
    from pipeline.cli import _follow, _output
    from pipeline.promote import release

    def apply() -> str:
        return _apply(args, way, copy)

    started = release.bring(way, tested, wanted, apply, done, _output.say)
    if started is not None and way.goal.environment.approval.mode == "manual" and done.approval != "Approved":
        _output.say(
            f"{done.goal} asks for approval: pipeline approve {done.pipeline} -e {done.goal} "
            f"--execution {started.name}"
        )
    if started is not None and not args.follow:
        done.status = "started"
        _output.say(f"follow it: pipeline run {done.pipeline} -e {done.goal} --execution {started.name}")
        return 0
    if started is not None:
        follow = argparse.Namespace(**{**vars(args), "name": done.pipeline, "json": False})
        follow.stop_on_interrupt = False
        if code := _follow.follow(follow, way.goal, way.target, started):
            done.status = "failed"
            return code
    release.finish(way, done)
    return 0


def _apply(args: argparse.Namespace, way: Way, copy: Path) -> str:
    """Apply the tag's content by the tag's own code; the URI of the image that it used."""
    from pipeline.cli import _elsewhere
    from pipeline.errors import ApplyError

    environment = way.goal.environment_name
    words = ("apply", way.goal.name, "-e", environment, "--yes", "--json")
    done = _elsewhere.run(copy, way.root, args, *words)
    if done.returncode:
        raise ApplyError(
            f"the tag's content could not be applied to {environment} (exit code {done.returncode}); its own "
            "words stand above",
            where=way.goal.stack_name,
            hint=f"mend the cause, then again: pipeline promote {way.tag.name}",
        )
    return str(json.loads(done.stdout)["image_uri"])


def _describe(done: Released) -> str:
    from pipeline.cli import _output

    head = {
        "": "would be promoted",
        "serves": "is served",
        "started": "is being deployed",
        "failed": "was not deployed",
    }[done.status]
    rows = [
        ("from", f"{done.origin}: {done.promoted_from} ({done.how})"),
        ("commit", done.commit),
        ("image", done.image),
        ("model.tar.gz", f"sha256 {done.model_sha256}" if done.model_sha256 else ""),
        ("", done.model_url),
        ("version", f"{done.package} {done.approval}".strip()),
        ("run", done.execution),
        ("config", done.endpoint_config),
        ("steps", ", ".join(f"{name} {what}" for name, what in done.steps.items())),
    ]
    style = "red" if done.status == "failed" else "green"
    title = _output.paint(f"{done.pipeline} {done.tag} {head} in {done.goal}", style)
    return "\n".join([title, _output.table([row for row in rows if row[1]], indent="  ")])
