"""Where the local target keeps its state: everything is under `<root>/.pipeline/local/`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StatePaths:
    """The files of one repository's local target. `root` is the repository's folder, absolute."""

    root: Path

    @classmethod
    def of(cls, root: Path) -> StatePaths:
        """The paths for a repository. Links are resolved: two names of one folder share one server."""
        return cls(Path(root).resolve())

    @property
    def folder(self) -> Path:
        """The state folder; `reset` empties it."""
        return self.root / ".pipeline" / "local"

    @property
    def server(self) -> Path:
        """Who serves: JSON with pid, started (seconds since the epoch), port, endpoint_url."""
        return self.folder / "server.json"

    @property
    def port(self) -> Path:
        """The port of the last server, taken again when it is free: the endpoint URL outlives a restart."""
        return self.folder / "port"

    @property
    def log(self) -> Path:
        """What the server and MiniStack print."""
        return self.folder / "server.log"

    @property
    def lock(self) -> Path:
        """Held while somebody starts, stops or resets the server."""
        return self.folder / "lock"

    @property
    def server_lock(self) -> Path:
        """Held by the server as long as it lives: a second one on the same state refuses to start."""
        return self.folder / "server.lock"

    @property
    def services(self) -> Path:
        """MiniStack's own state, one JSON file a service."""
        return self.folder / "services"

    @property
    def s3(self) -> Path:
        """S3 objects, as files."""
        return self.folder / "s3"

    @property
    def processes(self) -> Path:
        """One JSON file for each child process that could outlive the server."""
        return self.folder / "processes"

    @property
    def images(self) -> Path:
        """Snapshots of container folders, one folder a digest."""
        return self.folder / "images"

    @property
    def registry(self) -> Path:
        """The registry's content: what was pushed."""
        return self.folder / "registry"

    @property
    def registry_key(self) -> Path:
        """What signs the registry's tokens."""
        return self.folder / "registry.key"

    @property
    def oidc_key(self) -> Path:
        """What signs the tokens of jobs that this target takes for GitHub's."""
        return self.folder / "oidc.key"

    @property
    def checkouts(self) -> Path:
        """One file for each other checkout whose container folders are images, too; it holds the path."""
        return self.folder / "checkouts"

    @property
    def temporary(self) -> Path:
        """What only this server's life needs, such as unpacked functions; emptied at its start."""
        return self.folder / "tmp"

    def make(self) -> None:
        """Create the folder, readable by its owner only: it holds secrets that a user stored."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        for folder in (self.services, self.s3, self.processes, self.images):
            folder.mkdir(exist_ok=True)
