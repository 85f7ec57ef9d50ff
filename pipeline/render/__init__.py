"""Settings and definition -> state machine and CloudFormation, the same to the byte on every machine.

rendered = render(settings)      # .asl, .template, .lambdas, .digest
template = account(settings)     # what all pipelines of an account share
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import DefinitionError
from pipeline.functions import FUNCTIONS
from pipeline.names import JOB_SUFFIX, MAX_NAME, Names
from pipeline.render import asl, build, glue, lambdas, template
from pipeline.render.account import account
from pipeline.render.context import Context
from pipeline.render.marked import marked
from pipeline.render.model import LambdaPackage, Rendered
from pipeline.render.tasks import tasks

if TYPE_CHECKING:
    from pipeline.settings.model import Settings

__all__ = ["LambdaPackage", "Rendered", "account", "render"]


def render(settings: Settings) -> Rendered:
    """Render one pipeline in one environment.

    The first time it takes seconds, for the SDKs, in a process of its own; after that, milliseconds, as long
    as the definition, the steps, the settings and the lock stay the same.

    Raises:
        DefinitionError: the definition, or what it asks for, cannot be rendered.
    """
    names = Names.of(settings)
    if len(names.stack) + JOB_SUFFIX > MAX_NAME:
        raise DefinitionError(
            f"the name {names.stack!r} is longer than {MAX_NAME - JOB_SUFFIX} characters, "
            "so that names of its jobs would be longer than SageMaker takes",
            hint="shorten the pipeline's or the environment's name",
        )
    machine, permissions, monitor = asl.load(settings)
    if settings.workflow is not None:
        machine = marked(settings.workflow)
    root = Path(settings.root)
    packages = tuple(lambdas.package(root, folder) for folder in _invoked(names, machine, monitor or {}))
    context = Context(settings, names, machine, permissions, packages, monitor)
    return Rendered(
        machine,
        template.build(context),
        packages,
        glue.packages(settings),
        monitor,
        build.package(settings),
    )


def _invoked(names: Names, *machines: dict[str, object]) -> list[str]:
    """Folders of our Lambdas that the state machines invoke, sorted."""
    called = [state.get("Parameters", {}) for machine in machines for _, state in tasks(machine)]
    text = {str(parameters.get("FunctionName", "")) for parameters in called}
    return sorted(folder for folder in FUNCTIONS if names.function_arn(folder) in text)
