"""Runs an image's program: jobs to their end, servers until told."""

from pipeline.local.runner.environment import EnvironmentBroken
from pipeline.local.runner.hosts import run_hosts
from pipeline.local.runner.job import STOP_GRACE_SECONDS, Outcome, StopRequest, run_job
from pipeline.local.runner.model import CannotStart, Program, Runner, Running
from pipeline.local.runner.registry import current, stop_all, use
from pipeline.local.runner.server import ServerProcess, start_server

__all__ = [
    "STOP_GRACE_SECONDS",
    "CannotStart",
    "EnvironmentBroken",
    "Outcome",
    "Program",
    "Runner",
    "Running",
    "ServerProcess",
    "StopRequest",
    "current",
    "run_hosts",
    "run_job",
    "start_server",
    "stop_all",
    "use",
]
