"""A verb run by the code of another checkout, on the target of this one."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from pipeline.cli import _target


def run(
    copy: Path, root: Path, args: argparse.Namespace, *words: str, quiet: bool = False
) -> subprocess.CompletedProcess[str]:
    """`pipeline <words>` in `copy`, with what it prints on stdout.

    Args:
        root: the repository whose local target is used.
        args: the caller's, for the target.
        quiet: keep what it says on stderr, too, instead of passing it on.
    """
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *words, "--target", _target.target_name(args)],
        cwd=copy,
        env={**os.environ, _target.LOCAL_ROOT: str(_target.local_root(root))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if quiet else None,
        text=True,
        check=False,
    )
