"""One image's tests share their runs: a clause asks for the run it needs, the first to ask starts it.

A run that fails because of one clause is made again without what that clause asks for (no network, strings
for numbers, a read-only model), so that exactly that clause fails and the others can be looked at.
"""

from __future__ import annotations

import shutil
import tarfile
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from pipeline.conformance import folders
from pipeline.conformance.launching import UNPRIVILEGED, Launch, Launcher
from pipeline.conformance.model import Skip
from pipeline.conformance.serving import DEFAULT_PORT, SERVE, How, Server
from pipeline.conformance.subject import Request, Subject, Waits
from pipeline.conformance.training import TRAIN, Configure, TrainingRun, train


class Session:
    """The runs of one image. Use as a context manager: what was started is ended with it."""

    def __init__(self, subject: Subject, launcher: Launcher, configure: Configure, waits: Waits) -> None:
        self.subject = subject
        self.launcher = launcher
        self.configure = configure
        self.waits = waits
        # Whether SIGTERM ended a `serve`; None as long as that was not tried.
        self.ends: bool | None = None
        # Seconds until the main server ended by SIGTERM; None as long as it has not.
        self.ended_after: float | None = None
        self._servers: list[Server] = []

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
        if "folder" in self.__dict__:
            shutil.rmtree(self.folder, ignore_errors=True)

    @cached_property
    def folder(self) -> Path:
        """Where all of this lies."""
        return self.launcher.workspace()

    def possible(self, command: tuple[str, ...]) -> How:
        """What comes closest to how SageMaker runs a program: no network before all, then process 1."""
        every = [How(network=network, first=first) for network in (False, True) for first in (True, False)]
        return next((how for how in every if not self.lacking(how, command=command)), every[-1])

    def lacking(self, how: How, *, command: tuple[str, ...] = SERVE) -> str:
        """Why `how` cannot be had here; empty when it can."""
        return self.launcher.lacks(
            Launch(
                command,
                self.folder,
                {},
                read_only_model=how.read_only_model,
                network=how.network,
                first=how.first,
                user=how.user,
                port=0 if how.told_port or command != SERVE else DEFAULT_PORT,
            )
        )

    # -- training ----------------------------------------------------------------------------------

    def _train(self, name: str, *, network: bool, strings: bool = True, broken: bool = False) -> TrainingRun:
        return train(
            self.launcher,
            self.configure,
            self.subject,
            self.waits,
            self.folder / name / "ml",
            network=network,
            first=self.possible(TRAIN).first,
            strings=strings,
            broken=broken,
        )

    @cached_property
    def as_asked(self) -> TrainingRun:
        """The run with everything as on SageMaker, and no network where that can be."""
        self._can_train()
        return self._train("train", network=self.possible(TRAIN).network)

    @cached_property
    def trained(self) -> TrainingRun:
        """The first run that ends well: as asked, else with a network, else with numbers for strings."""
        run = self.as_asked
        if run.exit_code == 0 or run.refused:
            return run
        tries = [
            {"network": True, "strings": True},
            {"network": run.network, "strings": False},
            {"network": True, "strings": False},
        ]
        for number, how in enumerate(tries):
            again = self._train(f"train-again-{number}", **how)
            if again.exit_code == 0:
                return again
        return run

    @cached_property
    def untrainable(self) -> TrainingRun:
        """The run whose every input file holds garbage."""
        self._can_train()
        if self.trained.exit_code != 0:
            raise Skip("`train` fails with good data already")
        good = self.trained
        return self._train("train-broken", network=good.network, strings=good.strings, broken=True)

    def _can_train(self) -> None:
        if self.subject.model is not None:
            raise Skip("a model was given: `train` is not tested")
        if not self.subject.channels:
            raise Skip("no training data was given (--channel NAME=FOLDER)")

    def successful(self) -> TrainingRun:
        """The run that ended well. Raises Skip."""
        run = self.trained
        if run.refused or run.exit_code != 0:
            raise Skip("`train` does not end well")
        return run

    # -- serving -----------------------------------------------------------------------------------

    @cached_property
    def model(self) -> Path:
        """The model that is served, as it comes out of model.tar.gz. Raises Skip without one."""
        if self.subject.model is not None:
            source = self.subject.model
        else:
            source = self.successful().base / "model"
            if not any(source.iterdir()):
                raise Skip("training left no model to serve")
        to = self.folder / "model"
        try:
            folders.through_archive(source, self.folder / "model.tar.gz", to)
        except (OSError, tarfile.TarError) as error:
            raise Skip(f"the model cannot be packed and unpacked: {error}") from None
        return to

    def serve(self, name: str, how: How, model: Path | None = None) -> Server:
        """Start `serve`; not waited for."""
        self.end_others()
        server = Server(
            self.launcher, self.subject, self.waits, model or self.model, self.folder / name / "ml", how
        )
        self._servers.append(server)
        return server

    def end_others(self) -> None:
        """End all servers but the main one: a machine under test should not be busy with leftovers."""
        main = self.__dict__.get("main")
        for server in self._servers:
            if server is not main:
                server.close()

    @cached_property
    def isolated(self) -> Server:
        """`serve` without a network (with one, where none cannot be had). Its health was waited for."""
        return self._healthy_or_not("serve", self.possible(SERVE))

    @cached_property
    def main(self) -> Server:
        """The server that most clauses look at: without a network if it can do without."""
        if self.isolated.healthy or self.isolated.how.network or self.isolated.process.refused:
            return self.isolated
        with_network = self._healthy_or_not("serve-network", replace(self.isolated.how, network=True))
        return with_network if with_network.healthy else self.isolated

    def _healthy_or_not(self, name: str, how: How) -> Server:
        server = self.serve(name, how)
        server.wait_until_healthy()
        if server.process.unable:
            raise Skip(f"this machine cannot start a program so: {server.process.unable}")
        return server

    def up(self) -> Server:
        """The main server, healthy and alive. Raises Skip."""
        if not self.main.healthy:
            raise Skip("`serve` never became healthy")
        if not self.main.process.alive():
            raise Skip("`serve` has ended")
        return self.main

    @cached_property
    def answering(self) -> bool:
        """Whether the main server answers the good request with 200, if not at once."""
        return self.up().answers()

    def variant(self, name: str, **changes: object) -> Server:
        """Another `serve`, like the main one but for `changes`; its health was waited for. Raises Skip."""
        main = self.main
        if not main.healthy:
            raise Skip("`serve` never became healthy")
        how = replace(main.how, **changes)  # type: ignore[arg-type]
        lacking = self.lacking(how)
        if lacking:
            raise Skip(lacking)
        return self._healthy_or_not(name, how)

    def unprivileged(self) -> Server:
        """`serve` as a user that owns nothing."""
        return self.variant("serve-user", user=UNPRIVILEGED)

    def request(self) -> Request:
        """The request that a healthy server answers. Raises Skip."""
        if self.subject.request is None:
            raise Skip("no request was given (--request FILE)")
        return self.subject.request
