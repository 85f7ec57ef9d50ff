"""`make docs`: write the reference pages that are generated from the code; a test tells when one is stale."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def command_line() -> str:
    """docs/reference/cli.md: every verb's own help, as it prints it."""
    os.environ["COLUMNS"] = "100"
    from pipeline.cli import build_parser

    parser = build_parser()
    verbs = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    parts = [
        "# Command line",
        "",
        "Generated from the code by `make docs`.",
        "",
        "```text",
        parser.format_help().rstrip(),
        "```",
    ]
    for verb, sub in verbs.choices.items():
        parts += ["", f"## pipeline {verb}", "", "```text", sub.format_help().rstrip(), "```"]
        for action in sub._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, nested in action.choices.items():
                    parts += [
                        "",
                        f"### pipeline {verb} {name}",
                        "",
                        "```text",
                        nested.format_help().rstrip(),
                        "```",
                    ]
    return "\n".join(parts) + "\n"


def pages() -> dict[Path, str]:
    """Every generated page and its text."""
    from pipeline.check import rules_page
    from pipeline.conformance import contract_page
    from pipeline.settings.schema import schemas

    # The scripts are no package; this one lies beside us.
    sys.path.insert(0, str(ROOT / "scripts"))
    import plan_example

    reference = ROOT / "docs" / "reference"
    return {
        reference / "cli.md": command_line(),
        reference / "rules.md": rules_page(),
        reference / "container-contract.md": contract_page(),
        reference / "plan-comment.md": plan_example.page(),
        **{reference / "schemas" / name: text for name, text in schemas().items()},
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
