"""The artifact actions' stand-in (actions/): files into the forge's store, and out of it.

python -m pipeline.local.forge.artifacts upload|download      with NAME and PLACE in the environment
"""

from __future__ import annotations

import io
import os
import sys
import zipfile
from pathlib import Path

from pipeline.local.forge.home import Home


def upload(home: Home, run: int, name: str, place: Path) -> int:
    """Keep a folder's files (or one file) as the run's artifact."""
    paths = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
    if not paths:
        absent = os.environ.get("ABSENT", "warn")
        print(f"no files at {place}")
        return 1 if absent == "error" else 0
    there = any(each["run"] == run and each["name"] == name for each in home.store.all("artifacts"))
    if there and os.environ.get("OVERWRITE") != "true":
        print(f"the run has an artifact {name} already")
        return 1
    files = {path.name if path == place else path.relative_to(place).as_posix(): path for path in paths}
    kept = home.store.artifact(run, name, {key: path.read_bytes() for key, path in files.items()})
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as out:
        out.write(f"artifact-id={kept['id']}\nartifact-digest={kept['digest'].removeprefix('sha256:')}\n")
    print(f"kept {name}: {len(files)} files, {kept['size_in_bytes']} bytes, {kept['digest'][:23]}...")
    return 0


def download(home: Home, run: int, name: str, place: Path) -> int:
    """Unpack an artifact of the same run."""
    for each in reversed(home.store.all("artifacts")):
        content = home.store.archive(each["id"]) if each["run"] == run and each["name"] == name else None
        if content is not None:
            place.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                archive.extractall(place)
            print(f"fetched {name} into {place}")
            return 0
    print(f"this run has no artifact {name}")
    return 1


def main(verb: str) -> int:
    name, place = os.environ["NAME"], Path(os.environ["PLACE"])
    home, run = Home.of(Path(os.environ["FORGE_ROOT"])), int(os.environ["GITHUB_RUN_ID"])
    return {"upload": upload, "download": download}[verb](home, run, name, place)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
