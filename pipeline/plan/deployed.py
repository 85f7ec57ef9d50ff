"""Whether what is deployed is what the working tree would deploy; quick, for it is asked before each run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws import stacks
from pipeline.errors import PipelineError
from pipeline.image import resolve
from pipeline.plan import template as templates
from pipeline.plan.model import IMAGE_PARAMETER
from pipeline.render import render

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings


def differing(settings: Settings, clients: Clients) -> list[str]:
    """Which of `container` and `workflow` differ from what is deployed; empty if that cannot be told.

    An image is known by its container's content: by the tag where the workflow builds it, else by the digest
    that the registry has for this content.
    """
    try:
        stack = stacks.read(clients, settings.stack_name)
        if stack is None or stack.template is None:
            return []
        found = []
        uri, wanted = stack.parameters.get(IMAGE_PARAMETER, ""), resolve.source(settings)
        if settings.pipeline.build is not None:
            same = uri.endswith(f":{wanted.tag}")
        else:
            image = resolve.lookup(clients, wanted)
            same = image is not None and uri == image.uri
        if uri and not same:
            found.append("container")
        if templates.parse(stack.template) != templates.parse(render(settings).template):
            found.append("workflow")
        return found
    except (PipelineError, ClientError, BotoCoreError):
        # Who may start a run may not be allowed to ask for all of this, and the run does not need it.
        return []
