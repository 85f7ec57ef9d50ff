"""`pipeline render`: write the state machine, the template and the Lambdas' packages, or show them."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.render import Rendered

HELP = "write a pipeline's state machine and CloudFormation template"
DESCRIPTION = """Render a pipeline's definition to Amazon States Language and CloudFormation.

Needs no network and no credentials. The same settings and sources give the same bytes on every machine.
Writes build/<name>-<environment>/: state-machine.asl.json, template.json and lambdas/*.zip."""
EPILOG = """examples:
  pipeline render iris
  pipeline render iris --environment production --output /tmp/production
  pipeline render iris --asl-only --stdout | less"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the pipeline: a folder of pipeline/definitions")
    parser.add_argument("-e", "--environment", metavar="ENV", help="default: the project's own default")
    parser.add_argument("--asl-only", action="store_true", help="the state machine only")
    parser.add_argument("--stdout", action="store_true", help="print the document instead of writing files")
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: build/<name>-<environment>")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")


def run(args: argparse.Namespace) -> int:
    from pipeline import settings
    from pipeline.render import render

    root = settings.find_root()
    loaded = settings.load(root, args.name, args.environment)
    rendered = render(loaded)
    if args.stdout:
        print(pretty(rendered.asl if args.asl_only else rendered.template), end="")
        return 0
    folder = args.output or root / "build" / loaded.stack_name
    written = write(rendered, folder, asl_only=args.asl_only)
    if args.json:
        document = {"digest": rendered.digest, "folder": str(folder), "files": written}
        print(json.dumps(document, indent=2))
        return 0
    for file in written:
        print(f"{file['bytes']:>8}  {_shown(folder / file['path'])}")
    print(f"digest {rendered.digest[:16]}", file=sys.stderr)
    return 0


def write(rendered: Rendered, folder: Path, *, asl_only: bool = False) -> list[dict[str, Any]]:
    """Write the files, replacing what was rendered before; returns their paths within `folder` and sizes."""
    files = {"state-machine.asl.json": pretty(rendered.asl).encode()}
    if not asl_only:
        files["template.json"] = pretty(rendered.template).encode()
        files |= {f"lambdas/{package.name}.zip": package.content for package in rendered.lambdas}
        files |= {f"glue/{each.name}{each.suffix}": each.content for each in rendered.scripts}
        for made in ("lambdas", "glue"):
            shutil.rmtree(folder / made, ignore_errors=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return [{"path": name, "bytes": len(content)} for name, content in files.items()]


def pretty(data: dict[str, Any]) -> str:
    """For people: indented, keys sorted."""
    return json.dumps(data, indent=2, sort_keys=True) + "\n"


def _shown(path: Path) -> str:
    """Relative to where the user stands, if that is shorter to read."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
