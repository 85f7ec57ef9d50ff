"""How the engine gets at an image of the local registry: its name here, and a token for the call."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pipeline.local import context, ecr
from pipeline.local.registry.tokens import USER, Scope, Tokens
from pipeline.local.runner.container import Reference


def reference(folder: Path) -> Reference | None:
    """The image of a snapshot folder, as the engine pulls it; None when it was never pushed."""
    found = ecr.pushed(folder)
    if found is None:
        return None
    account, region, repository, digest = found
    password, _ = Tokens(context.paths().registry_key).issue(Scope(account, region))
    host = urlsplit(context.endpoint_url()).netloc
    return Reference(f"{host}/{repository}@{digest}", {"username": USER, "password": password})
