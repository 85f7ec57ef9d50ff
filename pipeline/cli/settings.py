"""`pipeline settings`: the effective values of a pipeline and the file and line each came from."""

from __future__ import annotations

import argparse
import json
import sys

HELP = "show the effective settings and where each value came from"
DESCRIPTION = """Shows every effective setting of a pipeline in one environment, with the file and line it
came from. All files are checked whole: each error has its place and what is allowed."""
EPILOG = """examples:
  pipeline settings iris --environment production
  pipeline settings iris --json
  pipeline settings --schema settings > settings.schema.json"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="pipeline (default: all)")
    parser.add_argument("--environment", "-e", metavar="ENV", help="environment of pipeline.toml")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument(
        "--json", action="store_true", help="machine-readable: one object for NAME, else a list"
    )
    shape.add_argument(
        "--schema",
        choices=("pipeline", "settings"),
        help="print the JSON Schema of pipeline.toml or settings.toml",
    )


def run(args: argparse.Namespace) -> int:
    """Print the settings; 0, or SettingsErrors for all that is wrong."""
    if args.schema:
        from pipeline.settings.schema import schemas

        sys.stdout.write(schemas()[f"{args.schema}.schema.json"])
        return 0
    from pipeline import settings as store
    from pipeline.cli._output import paint, print_json, table
    from pipeline.errors import ErrorGroup, PipelineError, SettingsError

    root = store.find_root()
    names = [args.name] if args.name else store.names(root)
    if not names:
        raise SettingsError("no pipeline is defined", hint="make pipeline/definitions/NAME/settings.toml")
    result = []
    failed: dict[str, PipelineError] = {}
    for name in names:
        try:
            loaded = store.load(root, name, args.environment)
            result.append((loaded, store.explain(root, name, args.environment)))
        except ErrorGroup as group:
            failed |= {str(error): error for error in group.errors}
    if failed:
        raise ErrorGroup(list(failed.values()))
    if args.json:
        reports = [
            {
                **loaded.model_dump(mode="json"),
                "stack_name": loaded.stack_name,
                "artifact_bucket": loaded.artifact_bucket,
                "data_bucket": loaded.data_bucket,
                "origins": {key: origin for key, _, origin in rows},
            }
            for loaded, rows in result
        ]
        print_json(reports[0] if args.name else reports)
        return 0
    for loaded, rows in result:
        print(paint(f"{loaded.name} in {loaded.environment_name}", "bold"))
        print(table([(key, _short(value), origin) for key, value, origin in rows], indent="  "))
    return 0


def _short(value: object) -> str:
    text = "(none)" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
