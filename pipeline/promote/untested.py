"""Which pipelines a release of all may go without: unchanged ones, and those that are served nowhere."""

from __future__ import annotations

from pipeline.aws import stacks
from pipeline.aws.errors import told
from pipeline.promote import content, tested
from pipeline.promote.release import Way
from pipeline.promote.tested import NeverDeployed, NotTested


def may_wait(way: Way, error: NotTested) -> str:
    """Why a release may leave out a pipeline that its source environment has not tested; "" if it may not.

    One that the tag changes has to be tested before it is released, and nothing else is released without it:
    a half of what a tag says is not what it says.
    """
    with told(way.target.target.name):
        stack = stacks.describe(way.target, way.goal.stack_name)
    goal, origin = way.goal.environment_name, way.origin.environment_name
    if stack is None:
        return f"neither {origin} nor {goal} serves it yet" if isinstance(error, NeverDeployed) else ""
    applied = stack.parameters.get("GitSha", "")
    if applied and content.same(way.root, applied, way.tag.commit, tested.sources(way.goal)):
        return (
            f"{way.tag.name} changes nothing of it: {goal} is applied from {applied[:12]}, the same content"
        )
    return ""
