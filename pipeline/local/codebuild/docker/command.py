"""The docker command where no engine answers: build, tag, push and login; every other is refused by name."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from pipeline.errors import PipelineError
from pipeline.local.codebuild.docker import dockerfile
from pipeline.local.codebuild.docker.push import Refused, login, push
from pipeline.local.codebuild.docker.store import Store, named

KNOWN = ("build", "tag", "push", "login")
ECR = re.compile(r"^\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?$")
USER = "AWS"


class Failure(Exception):
    """The command fails with these words."""


def main(arguments: list[str]) -> int:
    """Carry one command out, in the environment of a build."""
    try:
        if not arguments or arguments[0] not in KNOWN:
            asked = next((word for word in arguments if not word.startswith("-")), " ".join(arguments))
            raise Failure(
                f"docker {asked}".strip() + " needs a container engine, and none answers here: the local "
                f"target's own docker knows {', '.join(KNOWN)}. Start an engine, or set DOCKER_HOST"
            )
        _COMMANDS[arguments[0]](arguments[1:], Store(Path(os.environ["HOME"])))
    except (Failure, Refused, dockerfile.Unbuildable) as error:
        print(f"docker: {error}", file=sys.stderr)
        return 1
    except (PipelineError, OSError) as error:
        print(f"docker: {error}", file=sys.stderr)
        return 1
    return 0


class _Parser(argparse.ArgumentParser):
    """Says what it does not know as docker does, and names who does not know it."""

    def error(self, message: str) -> NoReturn:
        raise Failure(f"{message} (the local target's docker {self.prog}, without an engine)")


def _build(arguments: list[str], store: Store) -> None:
    parser = _Parser("build", add_help=False, allow_abbrev=False)
    parser.add_argument("-t", "--tag", action="append", default=[])
    parser.add_argument("-f", "--file")
    # What changes the image only where its steps run.
    for option in ("--build-arg", "--label", "--platform", "--target", "--cache-from", "--progress"):
        parser.add_argument(option, action="append")
    for option in ("--provenance", "--output", "--network"):
        parser.add_argument(option)
    for option in ("--no-cache", "--pull", "--rm", "--force-rm", "-q", "--quiet", "--load"):
        parser.add_argument(option, action="store_true")
    parser.add_argument("context")
    given = parser.parse_args(arguments)
    folder = Path(given.context)
    if not folder.is_dir():
        raise Failure(f"unable to prepare context: {given.context} is no folder")
    file = Path(given.file) if given.file else folder / "Dockerfile"
    if not file.is_file():
        raise Failure(f"failed to read dockerfile: open {file.name}: no such file or directory")
    steps = dockerfile.parse(file.read_text(encoding="utf-8"))
    dockerfile.check(steps, folder)
    for number, step in enumerate(steps, 1):
        print(f"Step {number}/{len(steps)} : {step.word} {' '.join(step.rest.split())[:88]}")
        if step.word == "RUN":
            print(" ---> not run: no container engine answers")
    identity = store.keep(folder)
    print("The image is this folder: its programs run as processes, in an environment of its lock.")
    for name in given.tag:
        store.name(name, identity)
        print(f"Successfully tagged {named(name)}")


def _tag(arguments: list[str], store: Store) -> None:
    parser = _Parser("tag", add_help=False)
    parser.add_argument("source")
    parser.add_argument("target")
    given = parser.parse_args(arguments)
    store.name(given.target, _known(store, given.source))


def _push(arguments: list[str], store: Store) -> None:
    parser = _Parser("push", add_help=False, allow_abbrev=False)
    parser.add_argument("-q", "--quiet", action="store_true")
    parser.add_argument("name")
    given = parser.parse_args(arguments)
    name = named(given.name)
    registry, _, rest = name.partition("/")
    endpoint = _endpoint(registry)
    identity = _known(store, name)
    auth = store.auth(registry)
    if not auth:
        raise Failure(f"no basic auth credentials: docker login {registry} comes first")
    repository, _, tag = rest.rpartition(":")
    print(f"The push refers to repository [{registry}/{repository}]")
    digest, size = push(endpoint, auth, repository, tag, store.folder(identity))
    print(f"{tag}: digest: {digest} size: {size}")


def _login(arguments: list[str], store: Store) -> None:
    parser = _Parser("login", add_help=False, allow_abbrev=False)
    parser.add_argument("-u", "--username", default="")
    parser.add_argument("-p", "--password", default="")
    parser.add_argument("--password-stdin", action="store_true")
    parser.add_argument("registry")
    given = parser.parse_args(arguments)
    registry = re.sub(r"^https?://", "", given.registry).rstrip("/")
    endpoint = _endpoint(registry)
    password = sys.stdin.read().strip() if given.password_stdin else given.password
    if not given.username or not password:
        raise Failure("login needs --username and --password-stdin, and a password there")
    before = store.auth(registry)
    store.login(registry, given.username, password)
    try:
        login(endpoint, store.auth(registry))
    except Refused as refused:
        if not before:
            store.login(registry, "", "")
        raise Failure(f"login attempt to {endpoint}/v2/ failed: {refused}") from None
    print("Login Succeeded")


def _known(store: Store, name: str) -> str:
    identity = store.identity(name)
    if not identity:
        raise Failure(f"An image does not exist locally with the tag: {named(name)}")
    return identity


def _endpoint(registry: str) -> str:
    """Where a registry answers: the account's own, by its name on AWS or by its address here."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    if not endpoint or not (ECR.match(registry) or registry == urlsplit(endpoint).netloc):
        raise Failure(f"{registry} is not the account's registry in Amazon ECR, and no other can be reached")
    return endpoint.rstrip("/")


_COMMANDS: dict[str, Callable[[list[str], Store], None]] = {
    "build": _build,
    "tag": _tag,
    "push": _push,
    "login": _login,
}
