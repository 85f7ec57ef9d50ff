"""What a release tag is: annotated, a semantic version, on the main branch. Everything else is refused.

A lightweight tag says neither who released nor when, and a plain `git tag` makes one by mistake; a commit
off the main branch was never deployed to the environment that is promoted from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import SettingsError
from pipeline.git import ask

# https://semver.org, 2.0.0, with the v that release tags begin with.
_NUMBER = r"(?:0|[1-9]\d*)"
_PRE = rf"(?:{_NUMBER}|\d*[A-Za-z-][0-9A-Za-z-]*)"
FORM = re.compile(
    rf"v{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_PRE}(?:\.{_PRE})*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
# `git config pipeline.verifyTags true`: only tags whose signature `git verify-tag` accepts.
VERIFY = "pipeline.verifyTags"
MAIN_REFS = ("refs/remotes/origin/main", "refs/heads/main")


class TagRefused(SettingsError):
    """This tag cannot be promoted; the text says why and what to do."""


@dataclass(frozen=True)
class Tag:
    """A release tag that may be promoted.

    Args:
        name: such as `v1.2.3`.
        commit: what it points to, 40 digits.
        main: the ref that holds the commit, such as `origin/main`.
        tagger: name, address and time as Git keeps them.
    """

    name: str
    commit: str
    main: str
    tagger: str


def resolve(root: Path, name: str, main: str | None = None) -> Tag:
    """The tag `name` of the repository at `root`.

    Args:
        main: the ref that must hold its commit; None: `origin/main` where there is one, else `main`.

    Raises:
        TagRefused: no semantic version, no such tag, lightweight, of no commit, off the main branch, or its
            signature is asked for and is not good.
    """
    if not FORM.fullmatch(name):
        raise TagRefused(
            f"{name!r} is not a release tag: v and a semantic version is, such as v1.2.3",
            hint=_make("v1.2.3"),
        )
    ref = f"refs/tags/{name}"
    if ask(root, "rev-parse", "--verify", "--quiet", ref)[0]:
        raise TagRefused(
            "there is no such tag here", where=name, hint=f"fetch it: git fetch --tags; or {_make(name)}"
        )
    if ask(root, "cat-file", "-t", ref)[1] != "tag":
        raise TagRefused(
            "it is a lightweight tag: it says neither who released nor when",
            where=name,
            hint=f"replace it: git tag -d {name} && {_make(name)} COMMIT && git push --force origin {name}\n"
            "    or, if it is annotated at the remote and the checkout made it so: "
            f"git fetch --force origin refs/tags/{name}:refs/tags/{name}",
        )
    code, commit, _ = ask(root, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    if code:
        raise TagRefused("it does not point to a commit", where=name, hint=_make(name))
    trunk = _main(root, main)
    _require_on(root, name, commit, trunk)
    if ask(root, "config", "--type=bool", "--get", VERIFY)[1] == "true":
        code, _, why = ask(root, "verify-tag", name)
        if code:
            raise TagRefused(
                f"its signature is not good: {why.splitlines()[-1] if why else 'there is none'}",
                where=name,
                hint=f"sign it with a key that is trusted here: git tag -s {name} -m ...; "
                f"signatures are asked for by git config {VERIFY}",
            )
    tagger = ask(root, "for-each-ref", "--format=%(taggername) %(taggeremail) %(taggerdate:iso-strict)", ref)
    return Tag(name, commit, _short(trunk), tagger[1])


def _main(root: Path, given: str | None) -> str:
    for ref in (given,) if given else MAIN_REFS:
        code, found, _ = ask(root, "rev-parse", "--verify", "--quiet", "--symbolic-full-name", str(ref))
        if not code:
            return found or str(ref)
    raise TagRefused(
        f"there is no {given}" if given else "there is no main branch: neither origin/main nor main",
        where=str(root),
        hint="fetch it: git fetch origin main; or name the branch that releases come from with --main REF",
    )


def _require_on(root: Path, name: str, commit: str, main: str) -> None:
    code, _, why = ask(root, "merge-base", "--is-ancestor", commit, main)
    if code == 0:
        return
    if code != 1:
        raise TagRefused(f"git cannot tell whether it is on {_short(main)}: {why}", where=name)
    shallow = ask(root, "rev-parse", "--is-shallow-repository")[1] == "true"
    hint = (
        "this clone lacks the history: git fetch --unshallow"
        if shallow
        else f"merge it, let it be tested, tag the commit on {_short(main)}; is this clone behind? git fetch"
    )
    raise TagRefused(f"its commit {commit[:12]} is not on {_short(main)}", where=name, hint=hint)


def _short(ref: str) -> str:
    return ref.removeprefix("refs/remotes/").removeprefix("refs/heads/")


def _make(name: str) -> str:
    return f'git tag -a {name} -m "Release {name[1:]}"'
