"""`pipeline local remote`: a forge on this machine, and what one does on its pages."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HELP = "a forge on this machine: `git push local main` runs the repository's GitHub workflows here"
DESCRIPTION = """\
Makes a bare repository under .pipeline/remote/ that takes pushes as GitHub does: the same workflow files run,
against the local target, with jobs' permissions, OIDC tokens, concurrency groups, reviewers and the required
check. Progress comes back to the terminal that pushes; Ctrl-C leaves the run running."""
EPILOG = """\
examples:
  pipeline local remote                            make it (again: refresh it)
  git push local main                              deploy to staging
  git push local HEAD:refs/for/main                open a pull request, or move its head
  git push local HEAD:refs/for/main -o fork=eve    ... as if it came from somebody's fork
  git push -o detach local main                    do not wait for the run
  pipeline local remote pr show 1                  its checks and its comment
  pipeline local remote pr merge 1                 merge it, if its required check is good
  git tag -a v0.1.0 -m v0.1.0 && git push local v0.1.0
  pipeline local remote approve production         let the job that waits for it go on
  pipeline local remote dispatch rollback -f pipeline=iris -f environment=staging -f reason=why"""

# What tests the repository, not what it deploys: long, and `make test` does it here.
LEFT_OUT = ("ci", "security")

_ACTIONS = {
    "runs": "the workflow runs, newest last",
    "log": "what a run printed (default: the newest); --follow waits for its end",
    "approve": "decide about jobs that wait for a reviewer of an environment",
    "cancel": "end a run",
    "pr": "list, show, merge or close pull requests",
    "dispatch": "start a workflow by hand, as its button would",
    "schedule": "start a workflow as its cron entry would",
    "remove": "delete the bare repository and all it knows",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options and the actions."""
    parser.add_argument(
        "--with",
        dest="with_",
        action="append",
        default=[],
        metavar="WORKFLOW",
        help=f"run this one too; left out are {', '.join(LEFT_OUT)}, which test the repository itself",
    )
    parser.add_argument("--protect", action="store_true", help="let main take pull requests only")
    parser.add_argument("--json", action="store_true", help="print JSON")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    for name, text in _ACTIONS.items():
        sub = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.add_argument("--json", action="store_true", help="print JSON")
        if name in ("log", "cancel"):
            # Not `run`: that is the verb's function.
            sub.add_argument("number", type=int, nargs="?" if name == "log" else None, metavar="RUN")
        if name == "log":
            sub.add_argument("--follow", "-f", action="store_true", help="print until it has ended")
        if name == "approve":
            sub.add_argument("environment", metavar="ENV")
            sub.add_argument("--run", dest="number", type=int, metavar="RUN", help="of this run alone")
            sub.add_argument("--reject", action="store_true", help="the job fails")
            sub.add_argument("--comment", default="", help="why")
        if name == "pr":
            sub.add_argument("what", choices=("list", "show", "merge", "close"), nargs="?", default="list")
            sub.add_argument("number", type=int, nargs="?", metavar="NUMBER")
            sub.add_argument(
                "--queue", action="store_true", help="merge through the merge queue (event merge_group)"
            )
        if name in ("dispatch", "schedule"):
            sub.add_argument(
                "workflow", metavar="WORKFLOW", help="file name, such as rollback or rollback.yml"
            )
        if name == "dispatch":
            sub.add_argument(
                "--field", "-f", action="append", default=[], metavar="NAME=VALUE", help="an input of it"
            )
            sub.add_argument("--ref", default="", help="branch (default: the default branch)")


def run(root: Path, args: argparse.Namespace) -> int:
    """Run one action; without one, make the remote."""
    if args.action is None:
        return _make(root, args)
    from pipeline.local.forge.home import Home

    action: Callable[[Any, argparse.Namespace], int] = globals()[f"_{args.action}"]
    return action(Home.of(root), args)


def _make(root: Path, args: argparse.Namespace) -> int:
    from pipeline.local import ensure_up
    from pipeline.local.forge import setup
    from pipeline.local.forge.places import Places
    from pipeline.settings import project

    own, environments = project(root)
    name = own.github.repository if own.github else f"local/{own.name}"
    branch = own.github.default_branch if own.github else "main"
    reviewed = [each for each, found in environments.items() if found.approval.mode == "manual"]
    places = Places.of(root)
    left_out = [f"{each}.yml" for each in LEFT_OUT if each not in {Path(w).stem for w in args.with_}]
    new = setup.make(places, name, branch, reviewed, args.protect, left_out)
    target = ensure_up(root)
    # An account has its roles before the first workflow asks for one: what an administrator does once on AWS.
    os.environ["PIPELINE_GITHUB_REPOSITORY"] = name
    for environment in environments:
        _account(root, environment)
    facts = {
        "repository": str(places.repository),
        "name": name,
        "remote": setup.REMOTE,
        "endpoint_url": target.endpoint_url,
        "reviewed": reviewed,
        "new": new,
    }
    text = (
        f"{'made' if new else 'refreshed'} the remote '{setup.REMOTE}' ({name}) in {places.repository}\n"
        f"  target     {target.endpoint_url}\n"
        f"  reviewers  {', '.join(reviewed) or 'no environment has any'}\n"
        f"  next       git push {setup.REMOTE} {branch}"
    )
    return _print(args, facts, text)


def _account(root: Path, environment: str) -> None:
    """The account's stack, as `pipeline account up` makes it."""
    from pipeline import settings as store
    from pipeline.apply import account
    from pipeline.cli import _output, _target
    from pipeline.plan.account import compute

    settings = store.load(root, store.names(root)[0], environment)
    clients = _target.connect_for(argparse.Namespace(target="local"), settings)
    action = compute(settings, clients)
    account.apply(clients, action, settings.artifact_bucket, environment, _output.say)


def _runs(home: Any, args: argparse.Namespace) -> int:
    found = home.store.all("runs")
    lines = []
    for run_ in found:
        state = run_["conclusion"] or run_["status"]
        lines.append(
            f"#{run_['id']:<4} {state:<12} {run_['name']:<14} {run_['event']:<14} {run_['head_sha'][:9]}"
        )
        for job in run_.get("jobs", ()):
            waits = f"  waits for {job['waiting']}" if job["waiting"] else ""
            lines.append(f"      {job['conclusion'] or job['status']:<12} {job['name']}{waits}")
    return _print(args, {"runs": found}, "\n".join(lines) or "nothing has run yet")


def _log(home: Any, args: argparse.Namespace) -> int:
    number = args.number or max((run_["id"] for run_ in home.store.all("runs")), default=0)
    found = _run_of(home, number)
    path = home.places.runs / str(number) / "log.txt"
    shown = 0
    while True:
        ended = found["status"] == "completed"
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        if args.json and (ended or not args.follow):
            return _print(args, {"run": found, "lines": text.splitlines()}, "")
        if not args.json:
            print(text[shown:], end="", flush=True)
            shown = len(text)
        if ended or not args.follow:
            return 0
        time.sleep(0.3)
        found = _run_of(home, number)


def _approve(home: Any, args: argparse.Namespace) -> int:
    from pipeline.errors import SettingsError
    from pipeline.local.forge.places import write

    waiting = [
        run_["id"]
        for run_ in home.store.all("runs")
        if run_["status"] != "completed"
        and args.number in (None, run_["id"])
        and any(job["waiting"] == f"approval of {args.environment}" for job in run_.get("jobs", ()))
    ]
    if not waiting:
        raise SettingsError(
            f"no job waits for a reviewer of {args.environment}", hint="pipeline local remote runs"
        )
    state = "rejected" if args.reject else "approved"
    for number in waiting:
        decision = {"state": state, "by": os.environ.get("USER", "you"), "comment": args.comment}
        # The API tells the job who let it begin; before the job does begin.
        review = {"environments": [{"name": args.environment}], "user": {"login": decision["by"]}}
        home.store.put("approvals", {"run": number, "state": state, "comment": args.comment or "", **review})
        write(home.places.approvals / f"{number}-{args.environment}.json", decision)
    said = f"{state}: {', '.join(f'#{number}' for number in waiting)} in {args.environment}"
    return _print(args, {"state": state, "runs": waiting}, said)


def _cancel(home: Any, args: argparse.Namespace) -> int:
    found = _run_of(home, args.number)
    if found["status"] == "completed":
        return _print(args, {"cancelled": False}, f"#{args.number} has ended already: {found['conclusion']}")
    (home.places.runs / str(args.number) / "cancel").touch()
    return _print(args, {"cancelled": True}, f"#{args.number} is told to end")


def _pr(home: Any, args: argparse.Namespace) -> int:
    from pipeline.errors import SettingsError
    from pipeline.local.forge import pulls

    if args.what == "list":
        found = home.store.all("pulls")
        lines = []
        for pull in found:
            check = pulls.check(home, pull["head"]["sha"]) or "-"
            lines.append(f"{pull['number']:<4} {pulls.state(pull):<8} {check:<10} {pull['title']}")
        return _print(args, {"pull_requests": found}, "\n".join(lines) or "no pull request yet")
    if args.number is None:
        raise SettingsError(f"pr {args.what} needs a number", hint="pipeline local remote pr list")
    pull = pulls.get(home, args.number)
    return {"show": _show, "merge": _merge, "close": _close}[args.what](home, args, pull)


def _show(home: Any, args: argparse.Namespace, pull: dict[str, Any]) -> int:
    from pipeline.local.forge import pulls

    head = pull["head"]["sha"]
    checks = {c["name"]: c["conclusion"] for c in home.store.all("checks") if c["head_sha"] == head}
    comments = home.store.comments(pull["number"])
    lines = [
        f"#{pull['number']} {pull['title']}",
        f"{pulls.state(pull)}  {pull['head']['ref']} ({head[:9]}) -> {pull['base']['ref']}",
        *(f"  {result:<9} {name}" for name, result in checks.items()),
    ]
    for comment in comments:
        lines += ["", f"{comment['user']['login']} wrote:", "", comment["body"]]
    return _print(args, {"pull_request": pull, "checks": checks, "comments": comments}, "\n".join(lines))


def _merge(home: Any, args: argparse.Namespace, pull: dict[str, Any]) -> int:
    from pipeline.errors import ApplyError
    from pipeline.local.forge import events, git, hooks, pulls

    pulls.may_merge(home, pull)
    pull = pulls.refreshed(home, pull)
    before, commit = pull["base"]["sha"], pull["merge_commit_sha"]
    if args.queue:
        group = events.merge_group(home.repository, pull["number"], before, commit)
        git.git(home.repository.path, "update-ref", group.ref, commit)
        if hooks.follow(home.places, hooks.deliver(home.places, group)) != "success":
            raise ApplyError(f"the merge queue let pull request {pull['number']} out: a check failed")
    pulls.merged(home, pull, commit)
    print(f"merged #{pull['number']} into {pull['base']['ref']} as {commit[:9]}", flush=True)
    event = events.push(home.repository, f"refs/heads/{pull['base']['ref']}", before, commit)
    ended = hooks.follow(home.places, hooks.deliver(home.places, event))
    return 0 if ended in ("success", "nothing") else 1


def _close(home: Any, args: argparse.Namespace, pull: dict[str, Any]) -> int:
    if pull["state"] == "open":
        home.store.change("pulls", pull["number"], {"state": "closed"})
    return _print(args, {"closed": True}, f"#{pull['number']} is closed")


def _dispatch(home: Any, args: argparse.Namespace) -> int:
    from pipeline.errors import SettingsError
    from pipeline.local.forge import events, triggers

    bad = [field for field in args.field if "=" not in field]
    if bad:
        raise SettingsError(f"{bad[0]!r} is not NAME=VALUE")
    inputs = dict(field.split("=", 1) for field in args.field)
    ref = f"refs/heads/{args.ref or home.repository.default_branch}"

    def event(path: str) -> Any:
        triggers.check_inputs(triggers.workflows(home.repository.path, ref)[path], inputs)
        return events.dispatch(home.repository, path, inputs, ref)

    return _by_hand(home, args, event, ref)


def _schedule(home: Any, args: argparse.Namespace) -> int:
    from pipeline.local.forge import events, triggers

    ref = f"refs/heads/{home.repository.default_branch}"
    found = triggers.workflows(home.repository.path, ref)

    def event(path: str) -> Any:
        crons = triggers.triggers(found[path]).get("schedule", {}).get("cron") or [""]
        return events.schedule(home.repository, path, crons[0])

    return _by_hand(home, args, event, ref)


def _by_hand(home: Any, args: argparse.Namespace, event: Callable[[str], Any], ref: str) -> int:
    from pipeline.errors import SettingsError
    from pipeline.local.forge import git, hooks, triggers

    if not git.commit_of(home.repository.path, ref):
        raise SettingsError(f"nothing has been pushed to {ref} yet", hint="git push local main")
    kind = {"dispatch": "workflow_dispatch"}.get(args.action, args.action)
    known = {
        path: content
        for path, content in triggers.workflows(home.repository.path, ref).items()
        if kind in triggers.triggers(content)
    }
    path = next((p for p in known if args.workflow in (Path(p).name, Path(p).stem)), None)
    if path is None:
        names = ", ".join(Path(p).stem for p in known) or "none"
        raise SettingsError(f"no workflow {args.workflow!r} has a {kind}", hint=f"known: {names}")
    ended = hooks.follow(home.places, hooks.deliver(home.places, event(path)))
    return 0 if ended in ("success", "nothing") else 1


def _remove(home: Any, args: argparse.Namespace) -> int:
    import shutil

    from pipeline.errors import SettingsError
    from pipeline.local.forge import git, setup

    busy = [run_["id"] for run_ in home.store.all("runs") if run_["status"] != "completed"]
    if busy:
        raise SettingsError(
            f"runs are under way: {', '.join(f'#{n}' for n in busy)}", hint="pipeline local remote cancel RUN"
        )
    git.git(home.places.root, "remote", "remove", setup.REMOTE, code=None)
    shutil.rmtree(home.places.folder)
    return _print(args, {"removed": True}, f"removed {home.places.folder}")


def _run_of(home: Any, number: int) -> dict[str, Any]:
    from pipeline.errors import SettingsError

    found: dict[str, Any] | None = home.store.get("runs", number)
    if found is None:
        raise SettingsError(f"there is no run {number}", hint="pipeline local remote runs")
    return found


def _print(args: argparse.Namespace, facts: dict[str, Any], text: str) -> int:
    print(json.dumps(facts) if args.json else text)
    return 0
