"""What a privileged build finds as docker: the engine that jobs run on, or our own command without one."""

from __future__ import annotations

import sys
from pathlib import Path

import pipeline
from pipeline.local.runner import choice

# As in a build without privileged mode: docker says that there is no daemon.
NONE = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
_COMMAND = """\
#!{python} -IB
import sys
sys.path.insert(0, {package!r})
from pipeline.local.codebuild.docker import {module}
sys.exit({module}.main(sys.argv[1:]{more}))
"""


def install(bin_folder: Path, system_path: str) -> dict[str, str]:
    """Put the `docker` command of a privileged build into `bin_folder`; the variables that go with it.

    Args:
        system_path: where the machine's own docker would be.
    """
    engine = choice.engine()
    module, more = ("real", f", {system_path!r}") if engine else ("command", "")
    command = bin_folder / "docker"
    package = str(Path(pipeline.__file__).resolve().parents[1])
    command.write_text(_COMMAND.format(python=sys.executable, package=package, module=module, more=more))
    command.chmod(0o755)
    return {"DOCKER_HOST": engine.url} if engine else NONE
