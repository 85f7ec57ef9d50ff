"""Pull requests of the local remote: opened by a push to refs/for/<branch>, merged by a verb of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.errors import SettingsError
from pipeline.local.forge import git
from pipeline.local.forge.github_store import now
from pipeline.local.forge.home import Home

# The check that has to be good before a merge: the workflows' one job that looks at all others.
REQUIRED = "required"


def get(home: Home, number: int) -> dict[str, Any]:
    """One pull request, as the forge keeps it.

    Raises:
        SettingsError: there is none of that number.
    """
    found = home.store.get("pulls", number)
    if found is None:
        known = ", ".join(str(pull["number"]) for pull in home.store.all("pulls")) or "none"
        raise SettingsError(f"there is no pull request {number}", hint=f"known: {known}")
    return found


def offered(home: Home, base: str, commit: str, options: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """The pull request that a push to refs/for/<base> stands for, and `opened` or `synchronize`.

    It is the open one that `options["pr"]` or `options["topic"]` names, else the one whose head the commit
    continues; else a new one.

    Args:
        options: push options: topic, pr, title, fork (an owner: as if it came from their fork).

    Raises:
        SettingsError: no such branch or pull request, nothing to merge, or a conflict.
    """
    repository = home.repository
    tip = git.commit_of(repository.path, f"refs/heads/{base}")
    if not tip:
        raise SettingsError(f"there is no branch {base} to merge into", hint=f"git push local {base} first")
    if git.is_ancestor(repository.path, commit, tip):
        raise SettingsError(f"{base} has this commit already: there is nothing to merge")
    found = _meant(home, base, commit, options)
    if found is not None:
        found["head"]["sha"] = commit
        return refreshed(home, found), "synchronize"
    _mergeable(home, base, tip, commit, "it")
    fork, own = options.get("fork", ""), repository.full_name
    theirs = repository.facts(fork if "/" in fork else f"{fork}/{own.split('/')[1]}") if fork else None
    made = home.store.put(
        "pulls",
        {
            "state": "open",
            "title": options.get("title") or git.git(repository.path, "show", "-s", "--format=%s", commit),
            "user": {"login": fork.split("/")[0] or "you", "id": 1, "type": "User"},
            "head": {"ref": options.get("topic", ""), "sha": commit, "repo": theirs or repository.facts()},
            "base": {"ref": base, "sha": tip, "repo": repository.facts()},
        },
    )
    made["head"]["ref"] = made["head"]["ref"] or f"for-{base}-{made['number']}"
    return refreshed(home, made), "opened"


def _meant(home: Home, base: str, commit: str, options: Mapping[str, str]) -> dict[str, Any] | None:
    if options.get("pr"):
        pull = get(home, int(options["pr"]))
        if pull["state"] != "open":
            raise SettingsError(f"pull request {pull['number']} is {state(pull)}")
        return pull
    known = [p for p in home.store.all("pulls") if p["state"] == "open" and p["base"]["ref"] == base]
    if options.get("topic"):
        return next((pull for pull in known if pull["head"]["ref"] == options["topic"]), None)
    path = home.repository.path
    return next((pull for pull in known if git.is_ancestor(path, pull["head"]["sha"], commit)), None)


def refreshed(home: Home, pull: dict[str, Any]) -> dict[str, Any]:
    """The pull request beside its base as it is now, with the commit that merging would make.

    Raises:
        SettingsError: it conflicts with the base.
    """
    number, base, head, path = pull["number"], pull["base"], pull["head"], home.repository.path
    base["sha"] = git.commit_of(path, f"refs/heads/{base['ref']}")
    message = f"Merge pull request #{number} from {head['ref']}\n\n{pull['title']}"
    pull["merge_commit_sha"] = _mergeable(home, base["ref"], base["sha"], head["sha"], message)
    pull["commits"] = git.git(path, "rev-list", f"{base['sha']}..{head['sha']}").splitlines()
    git.git(path, "update-ref", f"refs/pull/{number}/head", head["sha"])
    git.git(path, "update-ref", f"refs/pull/{number}/merge", pull["merge_commit_sha"])
    home.store.change("pulls", number, pull)
    return pull


def _mergeable(home: Home, branch: str, base: str, head: str, message: str) -> str:
    merge = git.merged(home.repository.path, base, head, message)
    if merge is None:
        raise SettingsError(
            f"it conflicts with {branch}",
            hint=f"git fetch local && git rebase local/{branch}, then push again",
        )
    return merge


def state(pull: Mapping[str, Any]) -> str:
    """`open`, `merged` or `closed`."""
    return "merged" if pull.get("merged_at") else str(pull["state"])


def check(home: Home, sha: str, name: str = REQUIRED) -> str:
    """How the newest check of that name ended on a commit: a conclusion, `pending`, or "" without one."""
    newest = ""
    for found in home.store.all("checks"):
        if found["head_sha"] == sha and found["name"] == name:
            newest = found["conclusion"] or "pending"
    under_way = any(run["head_sha"] == sha and run["status"] != "completed" for run in home.store.all("runs"))
    return newest or ("pending" if under_way else "")


def may_merge(home: Home, pull: Mapping[str, Any]) -> None:
    """Let it pass only if it is open and its required check is good.

    Raises:
        SettingsError: with the reason.
    """
    number = pull["number"]
    if pull["state"] != "open":
        raise SettingsError(f"pull request {number} is {state(pull)}")
    ended = check(home, pull["head"]["sha"])
    if ended != "success":
        told = {"": "has not run", "pending": "still runs"}.get(ended, f"ended with {ended}")
        raise SettingsError(
            f"pull request {number} may not be merged: its check '{REQUIRED}' {told}",
            where=pull["head"]["sha"][:12],
            hint="pipeline local remote runs",
        )


def merged(home: Home, pull: dict[str, Any], commit: str) -> None:
    """Put `commit` on the base branch, if that is where it was, and close the pull request.

    Raises:
        SettingsError: the branch moved meanwhile.
    """
    ref, before = f"refs/heads/{pull['base']['ref']}", pull["base"]["sha"]
    if git.commit_of(home.repository.path, ref) != before:
        raise SettingsError(f"{pull['base']['ref']} moved meanwhile", hint="merge again")
    git.git(home.repository.path, "update-ref", ref, commit, before)
    changes = {"state": "closed", "merged": True, "merged_at": now(), "merge_commit_sha": commit}
    home.store.change("pulls", pull["number"], changes)
