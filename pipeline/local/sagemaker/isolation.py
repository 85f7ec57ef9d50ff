"""EnableNetworkIsolation: kept wherever the machine can; where it cannot, said, or refused if so asked.

A laptop whose kernel gives no namespaces (macOS, hardened Linux) must be able to run what AWS runs, so by
default the program runs all the same. `pipeline local up --isolation enforce` refuses instead.
"""

from __future__ import annotations

from pipeline.local import options
from pipeline.local.runner import current as current_runner
from pipeline.local.sagemaker.errors import NotSupported

NOT_ENFORCED = (
    "EnableNetworkIsolation is not enforced: this machine's kernel gives no network namespaces. "
    "On AWS this program has no network."
)


def check(asked: bool | None) -> None:
    """Raise NotSupported when isolation is asked for, must be enforced, and cannot be."""
    if lacking(asked) and options.chosen(options.ISOLATION) == options.ENFORCE:
        raise NotSupported(
            "EnableNetworkIsolation on this machine, whose kernel gives no network namespaces "
            f"({options.ISOLATION}={options.ENFORCE}),"
        )


def lacking(asked: bool | None) -> bool:
    """Whether a program that asks for isolation goes without."""
    return bool(asked) and not current_runner().can_isolate_network()


def described() -> str:
    """For people: what becomes of a program that asks for it."""
    if current_runner().can_isolate_network():
        return "enforced"
    if options.chosen(options.ISOLATION) == options.ENFORCE:
        return "refused: this machine's kernel gives no network namespaces"
    return "NOT enforced: this machine's kernel gives no network namespaces"
