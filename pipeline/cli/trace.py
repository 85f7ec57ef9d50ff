"""`pipeline trace`: from an endpoint back to the commit, each link verified."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.aws import Clients
    from pipeline.lineage.links import Chain
    from pipeline.settings.model import Settings

HELP = "what an endpoint was made from: config, model, version, job, data, image, commit, pull request"
EPILOG = """\
examples:
  pipeline trace iris -e production         the endpoint of a pipeline
  pipeline trace iris-production            the same, by the endpoint's name
  pipeline trace iris --json

Each link is verified by what two records agree on: the registry's digest by what the endpoint's containers
run, the artifact by its checksum, the commit by the image's tag, which is a hash of its source. A version
that was promoted is followed into the environment it came from. Exit code 1: a link is broken."""

MARKS = {"verified": ("ok", "green"), "broken": ("BROKEN", "red"), "unknown": ("?", "yellow")}


def configure(parser: argparse.ArgumentParser) -> None:
    from pipeline.cli import _output, _target

    parser.add_argument("name", metavar="ENDPOINT|NAME", help="an endpoint, or a pipeline")
    _target.add_target_options(parser)
    _output.add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from pipeline import settings as store
    from pipeline.cli import _output, _target
    from pipeline.lineage.trace import trace

    root = store.find_root()
    settings = chosen(root, args.name, args.environment)
    clients = _target.connect_for(args, settings)
    chain = trace(root, settings, clients, lambda other: _elsewhere(clients, other))
    if args.json:
        _output.print_json(chain.as_dict())
    else:
        print(_text(chain))
    return 1 if chain.broken else 0


def chosen(root: Path, name: str, environment: str | None) -> Settings:
    """The settings whose pipeline or endpoint has this name.

    Raises:
        SettingsError: neither a pipeline nor an endpoint of this repository.
    """
    from pipeline import settings as store
    from pipeline.errors import SettingsError

    names = store.names(root)
    if name in names:
        return store.load(root, name, environment)
    for each in names:
        for env in [environment] if environment else store.environments(root):
            if f"{each}-{env}" == name:
                return store.load(root, each, env)
    endpoints = [f"{each}-{env}" for each in names for env in store.environments(root)]
    raise SettingsError(
        f"no pipeline and no endpoint is called {name!r}", hint=f"known: {', '.join(endpoints)}"
    )


def _elsewhere(clients: Clients, other: Settings) -> Clients:
    from pipeline.promote import release

    return clients.assume(release.role(other), "trace", other.environment.region)


def _text(chain: Chain) -> str:
    from pipeline.cli import _output

    lines = []
    for link in chain.links:
        mark, style = MARKS[link.state]
        lines.append(f"{_output.paint(f'{mark:<7}', style)} {link.what:<15} {link.value}")
        lines.append(f"{'':<23} {link.proof}")
    broken = len(chain.broken)
    whole = "every link that can be checked holds" if not broken else f"{broken} broken"
    return "\n".join([*lines, f"{chain.endpoint}: {whole}"])
