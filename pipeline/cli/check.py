"""`pipeline check`: every rule over settings, definition and template, before anything moves."""

from __future__ import annotations

import argparse

HELP = "check settings, definition, template and permissions by rule"
DESCRIPTION = """Checks everything that would be deployed, without AWS and without the local target: the state
machine, each call's parameters, the template, every policy, secrets and images. Each finding names its place
in your files and the fix. Exit code 2 when there is an error."""
EPILOG = """examples:
  pipeline check                            every pipeline, default environment; and the account
  pipeline check iris --environment production
  pipeline check --all-environments --format sarif > check.sarif
  pipeline check --list-rules"""
FORMATS = ("human", "json", "sarif", "github")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="pipelines (default: all)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--environment", "-e", metavar="ENV", help="environment of pipeline.toml")
    which.add_argument("--all-environments", action="store_true", help="every environment of pipeline.toml")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--format", choices=FORMATS, default="human", help="output (default: human)")
    shape.add_argument("--json", action="store_true", help="the same as --format json")
    parser.add_argument("--strict", action="store_true", help="a warning fails, too")
    parser.add_argument("--list-rules", action="store_true", help="print the rules and stop")


def run(args: argparse.Namespace) -> int:
    """Check; 0 when nothing fails, else 2."""
    if args.list_rules:
        return _list_rules(args.json or args.format == "json")
    from pipeline import settings as store
    from pipeline.check import report, runner
    from pipeline.errors import PipelineError, SettingsError

    root = store.find_root()
    names = args.names or store.names(root)
    if not names:
        raise SettingsError("no pipeline is defined", hint="make pipeline/definitions/NAME/settings.toml")
    known = store.environments(root)
    environments = known if args.all_environments else [args.environment]
    results = []
    for environment in environments:
        for name in names:
            if name not in store.names(root) or environment not in (None, *known):
                store.load(root, name, environment)  # mistyped: refuses, naming those there are
            try:
                settings = store.load(root, name, environment)
                results.append(runner.check(settings))
                if not args.names and name == names[-1]:
                    results.append(runner.check_account(settings))
            except PipelineError as error:
                results.append(runner.unreadable(root, name, environment or "the default environment", error))
    shape = "json" if args.json else args.format
    writers = {"human": report.human, "json": report.as_json, "sarif": report.sarif, "github": report.github}
    text = writers[shape](results)
    if text:
        print(text)
    errors, warnings = report.counts(results)
    return 2 if errors or (args.strict and warnings) else 0


def _list_rules(json_wanted: bool) -> int:
    from pipeline.check.registry import listed
    from pipeline.cli._output import print_json, table

    known = listed()
    if json_wanted:
        keys = ("id", "severity", "reason", "source")
        print_json([{key: getattr(rule, key) for key in keys} for rule in known])
    else:
        print(table([(r.id, r.severity, r.reason) for r in known], headers=("RULE", "SEVERITY", "HOLDS")))
    return 0
