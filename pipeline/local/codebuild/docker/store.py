"""What the docker command of one build keeps in the build's home: logins, and folders by an image's name."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from pathlib import Path

from pipeline.image.context import context_files

LATEST = "latest"


class Store:
    """The files below `home`."""

    def __init__(self, home: Path) -> None:
        self._logins = home / ".docker" / "config.json"
        self._folders = home / ".docker" / "folders"
        self._names = home / ".docker" / "names.json"

    def keep(self, folder: Path) -> str:
        """Copy a context's source; the copy's id."""
        self._folders.mkdir(parents=True, exist_ok=True)
        copy = Path(tempfile.mkdtemp(dir=self._folders))
        for relative, path in context_files(folder).items():
            target = copy / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target, follow_symlinks=False)
        return copy.name

    def name(self, name: str, identity: str) -> None:
        """Call an image `name` (repository:tag), whatever had that name before."""
        self._write(self._names, {**self._read(self._names), named(name): identity})

    def identity(self, name: str) -> str:
        """The id of the image called so; empty for none."""
        return str(self._read(self._names).get(named(name), ""))

    def folder(self, identity: str) -> Path:
        """The copy behind an id."""
        return self._folders / identity

    def login(self, registry: str, user: str, password: str) -> None:
        auth = base64.b64encode(f"{user}:{password}".encode()).decode()
        auths = self._read(self._logins).get("auths", {})
        self._write(self._logins, {"auths": {**auths, registry: {"auth": auth}}})

    def auth(self, registry: str) -> str:
        """What HTTP's Basic takes for a registry; empty where nobody has logged in."""
        return str(self._read(self._logins).get("auths", {}).get(registry, {}).get("auth", ""))

    @staticmethod
    def _read(file: Path) -> dict[str, dict[str, dict[str, str]]]:
        return json.loads(file.read_text()) if file.is_file() else {}

    @staticmethod
    def _write(file: Path, content: object) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(0o600)
        file.write_text(json.dumps(content))


def named(name: str) -> str:
    """With the tag that docker takes where none is given."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:{LATEST}"
