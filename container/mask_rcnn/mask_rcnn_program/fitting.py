"""The epochs: batches, steps, metrics told, a checkpoint after each; then the model is written.

What is random in an epoch follows from the seed, the epoch and the process alone, so an epoch that was
interrupted is done anew as it would have been, and a resumed training ends where an uninterrupted one does.
"""

from __future__ import annotations

import contextlib
import math
import platform
import random
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from script_mode import ProgramError, StopFlag, Stopped, threads

from . import checkpoint, class_names, model, network, operators, parallel
from .data import Channel, open_channel, spread, turned

LOSSES = ("loss", "mask_loss", "box_loss")


def fit(values: Mapping[str, Any], folders: Mapping[str, Path | None], stop: StopFlag) -> None:
    """Train by the hyperparameters `values`; folders: model_dir, train, checkpoints.

    Raises ProgramError, or Stopped after SIGTERM with the last epoch's checkpoint kept.
    """
    for name, folder in folders.items():
        if folder is None:
            raise ProgramError(f"no folder was given as --{name} (nor by its SM_ variable)")
    known = {name: folder for name, folder in folders.items() if folder is not None}
    channel = open_channel(known["train"], "train", values["num_classes"], values["smallest_object"])
    # Outside the seeds: the libraries', which a network's first weights and its samples are drawn by.
    torch.set_num_threads(max(1, threads() // int(_local_processes())))
    group = parallel.join()
    if values["mixed_precision"] == "on" and group.device.type != "cuda":
        raise ProgramError("mixed_precision=on, and there is no GPU; `auto` uses it where there is one")
    if values["batch_size"] < group.size:
        raise ProgramError(
            f"batch_size={values['batch_size']} for {group.size} processes; each needs an image"
        )
    epochs = Epochs(values, channel, known["checkpoints"], group, stop)
    epochs.run()
    if group.leads:
        described = metadata(values, channel, epochs, group)
        model.save(known["model_dir"], epochs.net.state_dict(), described)
        print(
            f"model: {known['model_dir'] / model.WEIGHTS_FILE}, {described['weights']:,} weights", flush=True
        )
    group.close()


def _local_processes() -> str:
    import os

    return os.environ.get("LOCAL_WORLD_SIZE") or "1"


class Epochs:
    """The epochs of one training: `run` goes through them, from the checkpoint if there is one."""

    def __init__(
        self,
        values: Mapping[str, Any],
        channel: Channel,
        folder: Path,
        group: parallel.Group,
        stop: StopFlag,
    ) -> None:
        self.values, self.channel, self.folder, self.group, self.stop = values, channel, folder, group, stop
        self.done = 0
        self.metrics: dict[str, float] = {}
        self.mixed = group.device.type == "cuda" and values["mixed_precision"] != "off"
        self.mean, self.deviation = spread(channel)
        torch.manual_seed(values["seed"])
        self.net = network.build(values["num_classes"], self.mean, self.deviation).to(group.device)
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=values["learning_rate"], weight_decay=values["weight_decay"]
        )
        self.scaler = torch.amp.GradScaler(group.device.type, enabled=self.mixed)
        self.fingerprint = checkpoint.fingerprint(values, list(channel.digests.values()), group.size)

    def run(self) -> None:
        """Train to the end. Raises ProgramError, or Stopped."""
        self._resume()
        while self.done < self.values["num_epochs"]:
            began = time.monotonic()
            losses = self.group.means(self._epoch())
            if not all(map(math.isfinite, losses)):
                raise ProgramError(
                    f"epoch {self.done + 1}: the loss is not finite any more; "
                    f"a lower learning_rate than {self.values['learning_rate']:g} may help"
                )
            self.group.level(self.net.buffers())
            self.done += 1
            self.metrics = {f"train_{name}": loss for name, loss in zip(LOSSES, losses, strict=True)}
            if self.group.leads:
                checkpoint.save(self.folder, self.fingerprint, self.done, self._state())
            # After it is kept: whoever reads the line may take the instance away.
            self._tell(time.monotonic() - began)
            self._stop_together()

    def _resume(self) -> None:
        """The leader's checkpoint for all: other hosts may have another, or none."""
        found = checkpoint.load(self.folder, self.fingerprint) if self.group.leads else None
        epochs, state, why = self.group.from_leader(found)
        if state is not None:
            self.net.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
            self.done, self.metrics = epochs, dict(state["metrics"])
        if self.group.leads:
            objects = sum(self.channel.counts.values())
            print(f"images: {len(self.channel.samples)}, objects: {objects}", flush=True)
            print(
                f"processes: {self.group.size}, {self.group.device.type}, "
                f"threads: {torch.get_num_threads()}, {'16' if self.mixed else '32'} bits; "
                f"operators: {operators.install()}; resume: {why}",
                flush=True,
            )

    def _state(self) -> dict[str, Any]:
        return {
            "network": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "metrics": self.metrics,
        }

    def _epoch(self) -> list[float]:
        """One epoch; the mean of each of LOSSES. Raises Stopped between two steps: it is then done anew."""
        seed = random.Random(f"{self.values['seed']} {self.done} {self.group.rank}").getrandbits(62)
        torch.manual_seed(seed)
        self.net.train()
        totals = np.zeros(len(LOSSES))
        batches = list(self._batches())
        for number, batch in enumerate(batches):
            self._stop_together()
            rate = learning_rate(self.values, self.done + number / len(batches))
            for one in self.optimizer.param_groups:
                one["lr"] = rate
            totals += self._step(batch)
        # Plain numbers: NumPy's are programs to whoever reads a checkpoint with care.
        return [float(total) / len(batches) for total in totals]

    def _step(self, batch: list[int]) -> list[float]:
        """Learn from one batch; its losses."""
        planes, targets = [], []
        for index in batch:
            image, target = self._item(index)
            planes.append(image)
            targets.append(target)
        near = torch.autocast(self.group.device.type) if self.mixed else contextlib.nullcontext()
        with near:
            told = self.net(planes, targets)
            loss = sum(told.values())
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        self.group.average(self.net.parameters())
        if self.values["clip_norm"]:
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.values["clip_norm"])
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return [float(one.detach()) for one in (loss, told["loss_mask"], told["loss_box_reg"])]

    def _batches(self) -> Iterator[list[int]]:
        """This process's part of each batch of the epoch, in the order of seed and epoch."""
        order = list(range(len(self.channel.samples)))
        random.Random(f"{self.values['seed']} {self.done}").shuffle(order)
        size = self.values["batch_size"]
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            # The last one may be too short to go round.
            while len(batch) < self.group.size:
                batch += order[: self.group.size - len(batch)]
            yield batch[self.group.rank :: self.group.size]

    def _item(self, index: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """One image, laid down in one of eight ways, as the network takes it."""
        sample = self.channel.samples[index]
        how = random.Random(f"{self.values['seed']} {self.done} {index} turn").randrange(8)
        planes, found = turned(sample.planes(), sample.objects(self.values["smallest_object"]), how)
        device = self.group.device
        target = {
            "boxes": torch.from_numpy(found.boxes).to(device),
            "labels": torch.from_numpy(found.classes).to(device),
            "masks": torch.from_numpy(found.masks.astype(np.uint8)).to(device),
        }
        return torch.from_numpy(planes).to(device), target

    def _stop_together(self) -> None:
        if self.group.anybody(self.stop.is_set):
            self.group.close()
            raise Stopped(f"stopped by SIGTERM after epoch {self.done}")

    def _tell(self, seconds: float) -> None:
        """One line that the metric definitions read: `name=value; ` for each metric."""
        if self.group.leads:
            told = "".join(f"{name}={value:.6f}; " for name, value in self.metrics.items())
            print(f"epoch={self.done}; {told}epoch_seconds={seconds:.2f}; ", flush=True)


def learning_rate(values: Mapping[str, Any], epochs: float) -> float:
    """The rate after so many epochs: it rises over warmup_epochs, then falls as half a cosine."""
    warm = min(values["warmup_epochs"], values["num_epochs"])
    if epochs < warm:
        return float(values["learning_rate"]) * (0.05 + 0.95 * epochs / warm)
    way = (epochs - warm) / max(values["num_epochs"] - warm, 1e-9)
    return float(values["learning_rate"]) * (0.01 + 0.99 * (1 + math.cos(math.pi * min(way, 1.0))) / 2)


def metadata(
    values: Mapping[str, Any], channel: Channel, epochs: Epochs, group: parallel.Group
) -> dict[str, Any]:
    """What is known of the model, for people, for evaluation and for the endpoint."""
    return {
        "classes": class_names(channel.names, values["num_classes"]),
        "mean": epochs.mean,
        "deviation": epochs.deviation,
        "smallest_object": values["smallest_object"],
        "hyperparameters": dict(values),
        "epochs": epochs.done,
        "metrics": epochs.metrics,
        "processes": group.size,
        "device": group.device.type,
        "weights": network.weights(epochs.net),
        "images": len(channel.samples),
        "objects": {str(number): count for number, count in channel.counts.items()},
        # Evaluation refuses to test on an image that training has seen.
        "data_sha256": {name: digest for name, digest in channel.digests.items() if "/images/" in name},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "torchvision", "numpy")},
        },
    }
