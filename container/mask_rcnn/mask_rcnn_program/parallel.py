"""Several processes that train one model, on one host or many; of a process alone all this asks nothing.

Gradients are averaged by hand after each step, in one message: gloo carries it between processors, NCCL
between GPUs. Every process makes the same steps, so they hold the same weights without being told.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

# Longer than a step takes anywhere, short enough to notice a host that is gone.
PATIENCE = timedelta(minutes=10)


class Group:
    """The processes of this training. rank: this one's number; size: how many there are."""

    def __init__(self, rank: int, size: int, device: torch.device) -> None:
        self.rank, self.size, self.device = rank, size, device

    @property
    def leads(self) -> bool:
        """Whether this is the one that prints and writes."""
        return self.rank == 0

    def average(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Make every gradient the mean of all processes'."""
        if self.size == 1:
            return
        given = [one for one in parameters if one.requires_grad]
        flat = torch.cat(
            [(one.grad if one.grad is not None else torch.zeros_like(one)).reshape(-1) for one in given]
        )
        distributed.all_reduce(flat)
        flat /= self.size
        start = 0
        for one in given:
            one.grad = flat[start : start + one.numel()].view_as(one)
            start += one.numel()

    def level(self, buffers: Iterable[torch.Tensor]) -> None:
        """Make running means and the like, of which each process has its own, the mean of all."""
        if self.size == 1:
            return
        for one in buffers:
            if one.is_floating_point():
                distributed.all_reduce(one)
                one /= self.size

    def means(self, values: list[float]) -> list[float]:
        """The mean of each value over all processes."""
        if self.size == 1:
            return values
        told = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(told)
        return [float(value) / self.size for value in told]

    def anybody(self, flag: bool) -> bool:
        """Whether the flag is set in any process: all must stop at the same step, or some wait for ever."""
        return self.means([float(flag)])[0] > 0

    def from_leader(self, value: Any) -> Any:
        """What the leader has."""
        if self.size == 1:
            return value
        held = [value if self.leads else None]
        distributed.broadcast_object_list(held, src=0, device=self.device)
        return held[0]

    def close(self) -> None:
        """Wait for the others and let go of them."""
        if self.size > 1:
            distributed.barrier()
            distributed.destroy_process_group()


def join() -> Group:
    """The group that torchrun's variables tell of; of one process without them."""
    size = int(os.environ.get("WORLD_SIZE") or 1)
    local = int(os.environ.get("LOCAL_RANK") or 0)
    has_gpu = torch.cuda.is_available()
    device = torch.device("cuda", local) if has_gpu else torch.device("cpu")
    if has_gpu:
        torch.cuda.set_device(device)
    if size == 1:
        return Group(0, 1, device)
    # A host is known to the others by the interface that SageMaker names.
    interface = os.environ.get("SM_NETWORK_INTERFACE_NAME")
    if interface:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", interface)
    distributed.init_process_group("nccl" if has_gpu else "gloo", timeout=PATIENCE)
    return Group(distributed.get_rank(), size, device)
