"""`pipeline account`: what all pipelines of an account share, and who may deploy them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.plan.model import StackAction
    from pipeline.settings.model import Settings

HELP = "set up an account: bucket, images, and the roles that deploy"
DESCRIPTION = """\
The account's stack holds what all pipelines of an account share: the artifact bucket, image repositories,
keys, budgets, and - with [project.github] - the roles that GitHub's jobs and CodeBuild take. It is an
administrator's to change: the deploy role may not change roles. `pipeline apply` plans it too, and says when
this is needed."""
EPILOG = """\
examples:
  pipeline account up -e staging --target aws     once, as an administrator; again after changes of settings
  pipeline account status -e staging              what is there, and what GitHub has to know
  pipeline account down -e staging                when no pipeline stands on it any more

exit codes of status: 0 it is as the settings want it, 1 it is not there or differs"""

_VERBS = {
    "up": "make or change the account's stack: shows the change, asks, and says what GitHub needs",
    "status": "what the account has, and whether the settings want it otherwise",
    "down": "delete the account's stack; bucket and images stay",
}


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output, _target

    verbs = parser.add_subparsers(dest="account_verb", metavar="VERB", required=True)
    for verb, text in _VERBS.items():
        sub = verbs.add_parser(verb, help=text, description=text[0].upper() + text[1:] + ".")
        if verb != "status":
            sub.add_argument("--yes", "-y", action="store_true", help="do not ask")
        if verb == "up":
            sub.add_argument("--full", action="store_true", help="show whole values, not their beginnings")
        _target.add_target_options(sub)
        _output.add_json_option(sub)


def run(args: argparse.Namespace) -> int:
    from pipeline import settings as store
    from pipeline.cli import _target
    from pipeline.errors import SettingsError

    root = store.find_root()
    names = store.names(root)
    if not names:
        raise SettingsError(
            "no pipeline is defined", where=str(root), hint="make pipeline/definitions/NAME/settings.toml"
        )
    # The account's template is the same for all pipelines: any of them says where the environment lives.
    settings = store.load(root, names[0], args.environment)
    clients = _target.connect_for(args, settings)
    return int(globals()[f"_{args.account_verb}"](args, settings, clients))


def _up(args: argparse.Namespace, settings: Settings, clients: Clients) -> int:
    from pipeline.apply import account
    from pipeline.aws.errors import told
    from pipeline.cli import _output, _plan
    from pipeline.plan.account import compute

    with told(clients.target.name):
        action = compute(settings, clients)
        show = _output.say if args.json else print
        place = f"{settings.environment.account}, {settings.environment.region}"
        show(_output.paint(f"account of {settings.environment_name} ({place})", "bold"))
        show("\n".join(_plan.stack_lines(action, args.full)))
        if action.operation != "none" and not _output.confirm(
            f"Apply this to account {settings.environment.account} on target {clients.target.name}?", args.yes
        ):
            _output.say("nothing was changed")
            return 1
        changed = account.apply(
            clients, action, settings.artifact_bucket, settings.environment_name, _output.say
        )
    _tell(args, settings, {"changed": changed, "stack": action.stack_name})
    return 0


def _status(args: argparse.Namespace, settings: Settings, clients: Clients) -> int:
    from pipeline.cli import _output, _plan
    from pipeline.execution.account import standing
    from pipeline.plan.account import compute

    action = compute(settings, clients)
    facts: dict[str, Any] = {
        "stack": action.stack_name,
        "status": action.status or "not there",
        "operation": action.operation,
        "pipelines": standing(settings, clients),
        "resources": _resources(action),
    }
    if not args.json:
        print(f"stack {action.stack_name}: {facts['status']}")
        print(f"  pipelines on it: {', '.join(facts['pipelines']) or 'none'}")
        for kind, names in facts["resources"].items():
            print(f"  {kind}: {', '.join(names)}")
        if action.operation != "none":
            print("\n".join(_plan.stack_lines(action, full=False)))
            _output.say(f"next: pipeline account up --environment {settings.environment_name}")
    _tell(args, settings, facts)
    return 0 if action.operation == "none" else 1


def _down(args: argparse.Namespace, settings: Settings, clients: Clients) -> int:
    from pipeline.cli import _output
    from pipeline.execution import account

    place = f"{settings.environment.account}/{settings.environment.region}"
    if not _output.confirm(f"Remove the stack {settings.project.name}-account in {place}?", args.yes):
        _output.say("nothing was changed")
        return 1
    result = account.down(settings, clients, _output.say)
    if args.json:
        _output.print_json(result.as_dict())
    else:
        print(f"removed {', '.join(result.removed) or 'nothing: it is not there'}")
        for item in result.left:
            print(f"  left: {item}")
    return 0


def _resources(action: StackAction) -> dict[str, list[str]]:
    """The names that the wanted template gives, by kind, for those that people look for."""
    import json

    kinds = {
        "roles": ("AWS::IAM::Role", "RoleName"),
        "policies": ("AWS::IAM::ManagedPolicy", "ManagedPolicyName"),
        "builds": ("AWS::CodeBuild::Project", "Name"),
    }
    resources = json.loads(action.template)["Resources"].values()
    found = {
        kind: sorted(str(r["Properties"][name]) for r in resources if r["Type"] == type_)
        for kind, (type_, name) in kinds.items()
    }
    return {kind: names for kind, names in found.items() if names}


def _tell(args: argparse.Namespace, settings: Settings, facts: dict[str, Any]) -> None:
    """The facts as JSON, or what GitHub has to know as text."""
    from pipeline.cli import _github_setup, _output

    if args.json:
        _output.print_json({**facts, "github": _github_setup.facts(settings)})
    else:
        print("\n".join(_github_setup.lines(settings)))
