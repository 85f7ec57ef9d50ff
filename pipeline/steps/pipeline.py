"""Chain blocks and raw steps into a state machine that cannot fail without saying so."""

from __future__ import annotations

from typing import Any

from stepfunctions import steps

from pipeline.errors import DefinitionError
from pipeline.steps import own_image, retry
from pipeline.steps.block import Block, JoinsFailure
from pipeline.steps.build import Build, BuildByLambda
from pipeline.steps.notify import tell
from pipeline.steps.reuse import Reuse
from pipeline.steps.route import Route
from pipeline.steps.sdk import Catch, Chain, Choice, ChoiceRule, Fail, Graph, Pass, State, Succeed
from pipeline.steps.together import Together
from pipeline.steps.view import Settings

# Retries, queues and what else no single timeout counts.
SLACK_SECONDS = 3600


class Pipeline(Chain):
    """The whole: `steps` one after another, then Succeeded; any error is told and fails the run by its name.

    Every Task, Parallel and Map that does not catch States.ALL itself gets a Catch into the failure path,
    and every Task without a Retry the standard one for its service. The machine as a whole may take as long
    as its parts together, so that no loop runs for ever.
    """

    def __init__(self, settings: Settings, steps: list[Any]) -> None:
        super().__init__(_connected([*steps, Succeed("Succeeded")]))
        self.comment = f"{settings.pipeline.description or settings.name} ({settings.environment_name})"
        entry = _failure_path(settings)
        safe = {id(state) for state in reachable(entry)}
        states = [state for state in reachable(self) if id(state) not in safe]
        if settings.pipeline.build:
            _require_build(steps)
            own_image.late(_with_branches(states))
        for state in states:
            _protect(state, entry)
        blocks = [step for step in steps if isinstance(step, Block)]
        self.timeout_seconds = (
            SLACK_SECONDS
            + sum(_seconds(state) for state in states)
            + sum(block.wait_seconds for block in blocks)
        )

    def graph(self) -> Graph:
        """The state machine as the SDK has it."""
        return Graph(self, comment=self.comment, timeout_seconds=self.timeout_seconds)


def _connected(steps: list[Any]) -> list[Any]:
    """The steps with the ways between blocks that are not next to each other."""
    gateways = {
        id(block): reuse.gateway(block)
        for reuse in steps
        if isinstance(reuse, Reuse)
        for block in reuse.blocks
    }
    for step in steps:
        if isinstance(step, Together):
            step.close([_skipping(branch, step.end(n), gateways) for n, branch in enumerate(step.branches)])
    woven = _woven(steps, gateways)
    route = Route(woven)
    _skip(steps, route, gateways)
    for step in steps:
        if isinstance(step, Block):
            step.connect(route)
    return woven


def _woven(steps: list[Any], gateways: dict[int, Any]) -> list[Any]:
    """The steps, each that may be skipped with its gateway before it."""
    return [each for step in steps for each in (gateways.get(id(step)), step) if each is not None]


def _skip(steps: list[Any], route: Route, gateways: dict[int, Any]) -> None:
    for step in steps:
        if id(step) in gateways:
            Reuse.connect_gateway(gateways[id(step)], step, route.after(step))


def _skipping(branch: list[Any], end: State, gateways: dict[int, Any]) -> list[Any]:
    """A branch, with its end as a state where its last block may be skipped."""
    whole = [*branch, *([end] if id(branch[-1]) in gateways else [])]
    woven = _woven(whole, gateways)
    _skip(branch, Route(woven), gateways)
    return woven


def _require_build(steps: list[Any]) -> None:
    if not any(isinstance(step, (Build, BuildByLambda)) for step in steps):
        raise DefinitionError(
            "settings.toml has [build], and nothing builds",
            hint="put Build(settings) before the first job, or drop [build]: `pipeline apply` builds then",
        )


def _with_branches(states: list[State]) -> list[State]:
    """The states, and those of their branches."""
    found = list(states)
    for state in states:
        for branch in state.branches if isinstance(state, steps.Parallel) else ():
            found += _with_branches(reachable(branch))
    return found


def reachable(start: Any) -> list[State]:
    """All states from `start` on, each once, in the order they are met; not those inside branches."""
    seen: dict[int, State] = {}

    class Visitor:
        def is_visited(self, state: State) -> bool:
            return id(state) in seen

        def visit(self, state: State) -> None:
            seen[id(state)] = state

    start.accept(Visitor())
    return list(seen.values())


def _seconds(state: State) -> int:
    """Of a Task its own limit; of a Parallel what its longest branch may take."""
    if isinstance(state, steps.Parallel):
        return max(sum(_seconds(inner) for inner in reachable(branch)) for branch in state.branches)
    return state.timeout_seconds or 0


def _protect_branch(parallel: steps.Parallel, branch: Any) -> None:
    """What fails in a branch fails the Parallel, which leads on: no state may lead out of a branch."""
    for state in reachable(branch):
        if isinstance(state, JoinsFailure) and state.next_step is None:
            name = f"{state.state_id}In{parallel.state_id}"
            state.next(Fail(name, error="$.error.Error", cause="$.error.Cause"))
        if isinstance(state, steps.Task) and not state.retries:
            state.add_retry(retry.standard(str(state.resource)))
        if isinstance(state, steps.Parallel):
            for inner in state.branches:
                _protect_branch(state, inner)


def _protect(state: State, entry: State) -> None:
    if isinstance(state, JoinsFailure) and state.next_step is None:
        state.next(entry)
    if not isinstance(state, (steps.Task, steps.Parallel, steps.Map)):
        return
    if isinstance(state, steps.Parallel):
        for branch in state.branches:
            _protect_branch(state, branch)
    if isinstance(state, steps.Task) and not state.retries:
        state.add_retry(retry.standard(str(state.resource)))
    if not any("States.ALL" in (catch.error_equals or []) for catch in state.catches):
        state.add_catch(Catch(error_equals=["States.ALL"], next_step=entry, result_path="$.error"))


def _failure_path(settings: Settings) -> State:
    """Tell, then fail with the original error. A timeout has no cause of its own, so it is given one."""
    failed = Fail("PipelineFailed", error="$.error.Error", cause="$.error.Cause")
    told = tell(settings, "NotifyFailed", "failed", {"error.$": "$.error.Error", "cause.$": "$.error.Cause"})
    told.next(failed)
    unsaid = Pass(
        "NameNoCause",
        parameters={"Error.$": "$.error.Error", "Cause": "no cause was given; see the execution's history"},
        result_path="$.error",
    )
    unsaid.next(told)
    entry = Choice("HasCause", comment="Every error ends here.")
    entry.add_choice(ChoiceRule.IsPresent(variable="$.error.Cause", value=True), told)
    entry.default_choice(unsaid)
    return entry
