"""From --target and --environment to settings and clients: the only place that tells targets apart."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import SettingsError

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

TARGETS = ("local", "aws")
LOCAL_ROOT = "PIPELINE_LOCAL_ROOT"
REPOSITORY = "PIPELINE_GITHUB_REPOSITORY"


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """Give `parser` --target and --environment."""
    parser.add_argument(
        "--target",
        choices=TARGETS,
        default=None,
        help="where it happens (default: $PIPELINE_TARGET, else local)",
    )
    parser.add_argument(
        "--environment", "-e", metavar="ENV", help="environment of pipeline.toml (default: its default)"
    )


def same_environment(args: argparse.Namespace) -> str:
    """` -e ENV` for a command that is to be next, where one was given to this one; else nothing."""
    return f" -e {args.environment}" if args.environment else ""


def resolve(args: argparse.Namespace) -> tuple[Settings, Clients]:
    """Settings of `args.name` and clients of the target, started and checked."""
    from pipeline import settings as _settings

    settings = _settings.load(_settings.find_root(), args.name, args.environment)
    return settings, connect_for(args, settings)


def resolve_all(args: argparse.Namespace) -> tuple[list[Settings], Clients]:
    """Settings of every pipeline in the repository (or of `args.name` alone), and clients of the target."""
    from pipeline import settings as _settings

    root = _settings.find_root()
    names = [args.name] if args.name else _settings.names(root)
    if not names:
        raise SettingsError(
            "no pipeline is defined", where=str(root), hint="make pipeline/definitions/NAME/settings.toml"
        )
    loaded = [_settings.load(root, name, args.environment) for name in names]
    return loaded, connect_for(args, loaded[0])


def connect_for(args: argparse.Namespace, settings: Settings, root: Path | None = None) -> Clients:
    """Clients for the target that `args` choose, in the account and region of `settings`.

    Args:
        root: the repository whose local target it is, where the settings lie in another checkout of it.
    """
    from pipeline.aws import Credentials, Target, connect

    name = target_name(args)
    account, region = settings.environment.account, settings.environment.region
    if name == "aws":
        return connect(Target("aws", None, region, account))
    from pipeline import local

    server = local.ensure_up(local_root(root or Path(settings.root)))
    # The emulator takes an access key id of 12 digits for the root of that account.
    return connect(Target("local", server.endpoint_url, region, account, Credentials(account, "local")))


def local_root(root: Path) -> Path:
    """The repository whose local target is used: $PIPELINE_LOCAL_ROOT, which other checkouts of it set."""
    return Path(os.environ.get(LOCAL_ROOT) or root)


def target_name(args: argparse.Namespace) -> str:
    """`local` or `aws`: the option, else $PIPELINE_TARGET, else local."""
    name = args.target or os.environ.get("PIPELINE_TARGET") or "local"
    if name not in TARGETS:
        raise SettingsError(f"unknown target {name!r}", where="PIPELINE_TARGET", hint="use local or aws")
    return str(name)


@contextmanager
def repository_of_the_local_remote(args: argparse.Namespace) -> Iterator[None]:
    """On the local target the repository has the name of its local remote, if nothing says more.

    The accounts there have roles for workflows of that name. A plan by hand that did not know it would take
    those roles away, and drift would report them.
    """
    name = ""
    if hasattr(args, "target") and not os.environ.get(REPOSITORY) and target_name(args) == "local":
        name = _local_remote()
    if not name:
        yield
        return
    os.environ[REPOSITORY] = name
    try:
        yield
    finally:
        os.environ.pop(REPOSITORY, None)


def _local_remote() -> str:
    """owner/name that the local remote of this repository has; empty where there is none."""
    from pipeline import settings
    from pipeline.local.forge.places import Places, read

    try:
        root = settings.find_root()
    except SettingsError:
        return ""  # the verb says so itself, if it needs one
    made = read(Places.of(local_root(root)).settings)
    return str(made["repository"]) if made else ""
