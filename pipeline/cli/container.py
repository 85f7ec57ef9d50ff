"""`pipeline container`: hold an image to SageMaker's container contract."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.conformance import Result, Subject
    from pipeline.conformance.launching import Launcher

HELP = "test an image against SageMaker's container contract"
DESCRIPTION = """Is an image what SageMaker expects of one? `test` runs its `train` and `serve` as SageMaker
does and looks at every clause of the contract: configuration, data, exit codes, model, ports, health checks,
requests, signals, isolation."""
EPILOG = """examples:
  pipeline container test iris                    a pipeline's container, with its sample and smoke request
  pipeline container test iris --image my/iris:1  the same, as an image of the container engine
  pipeline container test ./my-container --channel train=data/ --request row.csv --content-type text/csv
  pipeline container test --list                  every clause, with the page it comes from"""

_SIGNS = {"passed": ("✓", "green"), "failed": ("✗", "red"), "skipped": ("-", "dim")}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs."""
    verbs = parser.add_subparsers(dest="container_verb", metavar="VERB", required=True)
    text = "run an image's train and serve, and look at every clause of the contract"
    sub = verbs.add_parser("test", help=text, description=text[0].upper() + text[1:] + ".")
    sub.add_argument(
        "name", nargs="?", metavar="NAME|FOLDER|IMAGE", help="a pipeline, a container folder, or an image"
    )
    sub.add_argument("--image", help="test this image of the container engine with the data of pipeline NAME")
    sub.add_argument(
        "--environment", "-e", metavar="ENV", help="environment of pipeline.toml, for NAME's settings"
    )
    data = sub.add_argument_group("what it is tested with (default: the pipeline's sample and smoke request)")
    data.add_argument(
        "--channel", action="append", default=[], metavar="NAME=FOLDER", help="an input of `train`"
    )
    data.add_argument(
        "--hyperparameter", action="append", default=[], metavar="NAME=VALUE", help="as a string"
    )
    data.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", help="a variable of both programs"
    )
    data.add_argument(
        "--request", type=Path, metavar="FILE", help="body of a request that is answered with 200"
    )
    data.add_argument("--content-type", default="", metavar="TYPE", help="of the request")
    data.add_argument("--accept", default="", metavar="TYPE", help="of its answer")
    data.add_argument(
        "--model", type=Path, metavar="PATH", help="serve this model (folder, .tar.gz); do not train"
    )
    waits = sub.add_argument_group("how long it waits")
    waits.add_argument("--train-seconds", type=float, metavar="S", help="for one training run (default: 900)")
    waits.add_argument(
        "--start-seconds", type=float, metavar="S", help="for the first 200 of /ping (default: 120)"
    )
    waits.add_argument(
        "--stop-seconds", type=float, metavar="S", help="between SIGTERM and SIGKILL (default: 30)"
    )
    sub.add_argument(
        "--only", action="append", default=[], metavar="ID", help="these clauses; CT2 is all that begin so"
    )
    sub.add_argument("--strict", action="store_true", help="a `should` that does not hold fails, too")
    sub.add_argument("--list", action="store_true", help="print the clauses and stop")
    sub.add_argument("--json", action="store_true", help="machine-readable output on stdout")


def run(args: argparse.Namespace) -> int:
    """Test the image; 0 when it conforms, else 1."""
    if args.list:
        return _list(args.json)
    from pipeline import conformance
    from pipeline.cli._output import paint, print_json, say
    from pipeline.cli._processes import configure as configuration
    from pipeline.errors import SettingsError

    if not args.name and not args.image:
        raise SettingsError("nothing to test", hint="pipeline container test NAME|FOLDER|IMAGE")
    workspace = Path(tempfile.mkdtemp(prefix="pipeline-container-"))
    launcher = None
    try:
        subject, launcher = _what(args, workspace)
        if not args.json:
            say(f"{subject.name}: {launcher.describe()}")
        chosen = {"train": args.train_seconds, "start": args.start_seconds, "stop": args.stop_seconds}
        waits = conformance.Waits(**{name: value for name, value in chosen.items() if value is not None})
        results = conformance.examine(
            subject,
            launcher,
            configuration,
            waits,
            only=args.only,
            on_result=(lambda _: None) if args.json else lambda result: print(_line(result), flush=True),
        )
    finally:
        if launcher is not None:
            launcher.close()
        shutil.rmtree(workspace, ignore_errors=True)
    if all(result.status == "skipped" for result in results):
        raise SettingsError(
            results[0].seen if results else f"no clause begins with {' or '.join(args.only)}",
            where=f"no clause of {subject.name} could be looked at",
            hint="pipeline container test --list; pipeline container test --help says what data it takes",
        )
    failed = conformance.failed(results, strict=args.strict)
    if args.json:
        shape = {"subject": subject.name, "launcher": launcher.describe(), "conforms": not failed}
        print_json({**shape, "clauses": [result.as_dict() for result in results]})
        return int(failed)
    counts = {status: sum(result.status == status for result in results) for status in _SIGNS}
    print(
        paint(
            ", ".join(f"{number} {status}" for status, number in counts.items()), "red" if failed else "green"
        )
    )
    return int(failed)


def _what(args: argparse.Namespace, workspace: Path) -> tuple[Subject, Launcher]:
    """The subject, and what runs it: a folder as processes, an image as containers."""
    from pipeline import conformance
    from pipeline import settings as store
    from pipeline.cli._output import say
    from pipeline.cli._processes import ProcessLauncher, connector
    from pipeline.conformance.containers import ContainerLauncher
    from pipeline.errors import SettingsError
    from pipeline.execution import sample

    given = conformance.Given(
        channels=args.channel,
        hyperparameters=args.hyperparameter,
        environment=args.env,
        request=args.request,
        content_type=args.content_type,
        accept=args.accept,
        model=args.model,
    )
    try:
        root: Path | None = store.find_root()
    except SettingsError:
        root = None  # an image can be tested anywhere
    folder: Path | None = None
    if root is not None and args.name in store.names(root):
        settings = store.load(root, args.name, args.environment)
        subject = conformance.of_pipeline(settings, lambda: sample.folder(settings, say))
        folder = root / "container" / settings.pipeline.container
    else:
        subject = conformance.Subject(name=args.name or args.image)
        if args.name and Path(args.name).is_dir():
            folder = Path(args.name)
    subject = conformance.with_given(subject, given, workspace)
    image = args.image or ("" if folder else args.name)
    if image:
        return subject, ContainerLauncher(image, connector)
    assert folder is not None
    state = (root or Path.cwd()) / ".pipeline" / "local"
    return subject, ProcessLauncher(folder.resolve(), state)


def _line(result: Result) -> str:
    from pipeline.cli._output import paint

    sign, style = _SIGNS[result.status]
    text = f"{paint(sign, style)} {result.clause.id} {result.clause.statement}"
    if result.status == "passed":
        return f"{text}\n      {paint(result.seen, 'dim')}"
    if result.status == "skipped":
        return f"{text}\n      {paint('not looked at: ' + result.seen, 'dim')}"
    return "\n".join(
        [
            f"{text} ({result.clause.severity})",
            f"      seen: {result.seen}",
            f"      fix:  {result.fix}",
            f"      page: {result.clause.page}",
        ]
    )


def _list(json_wanted: bool) -> int:
    from pipeline.cli._output import print_json, table
    from pipeline.conformance import clauses

    known = clauses()
    if json_wanted:
        keys = ("id", "statement", "severity", "fix", "page")
        print_json([{key: getattr(each, key) for key in keys} for each in known])
    else:
        rows = [(c.id, c.severity, c.statement, c.page) for c in known]
        print(table(rows, headers=("CLAUSE", "SEVERITY", "HOLDS", "PAGE")))
    return 0
