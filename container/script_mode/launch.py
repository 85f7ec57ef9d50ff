"""`train`: sets up a script's arguments and variables as SageMaker's containers do, and runs it."""

from __future__ import annotations

import os
import runpy
import sys

from . import arguments, environment
from .outcome import run_program


def main(program: str) -> int:
    """Run the module `program` of this folder as a script; return the exit code.

    The script runs in this process, so that it is process 1 of its container and SIGTERM is its own.
    """
    folders = environment.Folders.from_environment()

    def script() -> None:
        hyperparameters = arguments.for_script(folders.read_config("hyperparameters.json"))
        given = arguments.command_line(hyperparameters)
        for name, value in environment.variables(folders, hyperparameters, given, program).items():
            os.environ.setdefault(name, value)
        # A library reads these when it is imported, which the script does.
        count = str(environment.threads())
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, count)
        sys.argv = [f"{program}.py", *given]
        runpy.run_module(program, run_name="__main__", alter_sys=True)

    return run_program(script, folders.failure)
