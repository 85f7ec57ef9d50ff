"""Run one program on several hosts of this machine, as one job: together to the end, or none of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pipeline.local.runner import registry
from pipeline.local.runner.job import STOP_GRACE_SECONDS, Outcome, StopRequest
from pipeline.local.runner.model import Log, Program, Runner, Running

_LOOK_SECONDS = 0.1
# What the others get to end by themselves when one of them has failed.
_GIVE_UP_SECONDS = 5.0


def run_hosts(
    programs: Sequence[Program],
    logs: Sequence[Log],
    *,
    stop: StopRequest,
    max_seconds: float | None = None,
    grace: float = STOP_GRACE_SECONDS,
    runner: Runner | None = None,
) -> list[Outcome]:
    """As `run_job`, of one program a host; how each ended, in their order.

    Those without a network share one: the first's. Once one has failed, the others are ended: what they
    wait for does not come. The failure's `seconds` is then the least.

    Raises:
        CannotStart: one of them cannot be started; those that were are ended.
    """
    runner = runner or registry.current()
    begun = time.monotonic()
    running: list[Running] = []
    try:
        for program, log in zip(programs, logs, strict=True):
            shared = running[0] if running and not program.network and runner.can_isolate_network() else None
            running.append(runner.start(replace(program, network_of=shared), log))
    except BaseException:
        _end(running, 0.0)
        raise
    ended: dict[int, float] = {}
    because: Literal["exited", "timeout", "stopped"] = "exited"
    while len(ended) < len(running):
        # Woken by a request to stop alone: the programs' ends are looked for.
        stop.wait(_LOOK_SECONDS)
        for number, one in enumerate(running):
            if number not in ended and one.wait(0) is not None:
                ended[number] = time.monotonic() - begun
        if len(ended) == len(running):
            break
        if stop.asked:
            because = "stopped"
        elif max_seconds is not None and time.monotonic() - begun > max_seconds:
            because = "timeout"
        elif not any(running[number].wait(0) for number in ended):
            continue
        given = grace if stop.grace is None else stop.grace
        _end(running, given if because != "exited" else min(given, _GIVE_UP_SECONDS))
        break
    now = time.monotonic() - begun
    return [
        Outcome(
            one.wait() or 0,
            "exited" if number in ended else because,
            ended.get(number, now),
            one.oom,
            one.lost,
        )
        for number, one in enumerate(running)
    ]


def _end(running: Sequence[Running], grace: float) -> None:
    """SIGTERM to all, SIGKILL `grace` seconds later to those that are left; returns when none is."""
    for one in running:
        if one.wait(0) is None:
            one.signal_stop()
    deadline = time.monotonic() + grace
    for one in running:
        if one.wait(max(0.0, deadline - time.monotonic())) is None:
            one.kill()
    for one in running:
        one.wait()
