"""What GitHub keeps of a repository beside git, as a folder people can read: JSON, and Markdown for texts.

    repository.json                 owner/name and its ids
    pulls/1.json, issues/7.json     title, state, commits
    issues/1/comments/3.md, 3.json  a pull request's comments lie under its issue number, as on GitHub
    runs/5.json, artifacts/9.json, artifacts/9.zip
    statuses/2.json, checks/4.json
    approvals/3.json                who let a run into an environment: run, state, environments, user, comment
    tokens.json                     token -> its rights

Several processes may write: every change is made under one lock file, every file is replaced whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

BOT: dict[str, Any] = {"login": "github-actions[bot]", "id": 41898282, "type": "Bot"}
# What a workflow's token may be given: https://docs.github.com/en/actions/reference/workflows-and-actions
RIGHTS = ("actions", "attestations", "checks", "contents", "issues", "pull_requests", "statuses")
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)


class Store:
    """One repository's folder.

    Args:
        folder: made if it is not there.
        repository: owner/name.
        repository_id, owner_id: as in the tokens of its jobs.
    """

    def __init__(self, folder: Path, repository: str, *, repository_id: int = 1, owner_id: int = 1) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.repository = repository
        self.id = repository_id
        owner = {"login": repository.partition("/")[0], "id": owner_id, "type": "User"}
        name = repository.partition("/")[2]
        facts = {"id": repository_id, "name": name, "full_name": repository, "owner": owner}
        self.facts: dict[str, Any] = {**facts, "private": True, "default_branch": "main", "fork": False}
        if self._read(folder / "repository.json") != self.facts:
            self._write(folder / "repository.json", self.facts)

    # --- tokens

    def token(self, rights: Mapping[str, str], login: str = BOT["login"]) -> str:
        """A new token with rights such as `{"actions": "read", "pull_requests": "write"}`."""
        unknown = set(rights) - set(RIGHTS)
        if unknown:
            raise ValueError(f"no such right: {', '.join(sorted(unknown))}")
        made = f"ghs_{secrets.token_urlsafe(27)}"
        with self._changing():
            known = self._read(self.folder / "tokens.json") or {}
            known[_hashed(made)] = {"rights": dict(rights), "login": login}
            self._write(self.folder / "tokens.json", known)
        return made

    def withdraw(self, token: str) -> None:
        """End a token, as GitHub does when its job ends."""
        with self._changing():
            known = self._read(self.folder / "tokens.json") or {}
            known.pop(_hashed(token), None)
            self._write(self.folder / "tokens.json", known)

    def holder(self, token: str) -> dict[str, Any] | None:
        """Rights and login of a token; None for one that is not known."""
        return (self._read(self.folder / "tokens.json") or {}).get(_hashed(token))

    # --- documents

    def put(self, kind: str, data: Mapping[str, Any], number: int = 0) -> dict[str, Any]:
        """Keep a document of `kind` under a new number (or the given one): its `id`, or `number`."""
        with self._changing():
            number = number or self._next("issues" if kind == "pulls" else kind)
            key = "number" if kind in ("pulls", "issues") else "id"
            made = {key: number, "id": number, "created_at": now(), "updated_at": now(), **data}
            self._write(self.folder / kind / f"{number}.json", made)
        return made

    def change(self, kind: str, number: int, data: Mapping[str, Any]) -> dict[str, Any] | None:
        """Lay `data` over a document; None if there is none."""
        with self._changing():
            path = self.folder / kind / f"{number}.json"
            found = self._read(path)
            if found is None:
                return None
            made: dict[str, Any] = {**found, **data, "updated_at": now()}
            self._write(path, made)
        return made

    def get(self, kind: str, number: int | str) -> dict[str, Any] | None:
        """One document, or None."""
        found = self._read(self.folder / kind / f"{number}.json")
        return found if isinstance(found, dict) else None

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Every document of `kind`, oldest first."""
        files = sorted((self.folder / kind).glob("*.json"), key=lambda path: int(path.stem))
        return [found for path in files if (found := self._read(path)) is not None]

    # --- comments, whose texts are files of their own

    def comment(self, issue: int, body: str, user: Mapping[str, Any]) -> dict[str, Any]:
        """Write a comment."""
        with self._changing():
            number = self._next("comments")
            folder = self.folder / "issues" / str(issue) / "comments"
            made = {
                "id": number,
                "issue": issue,
                "user": dict(user),
                "created_at": now(),
                "updated_at": now(),
            }
            self._write(folder / f"{number}.json", made)
            self._text(folder / f"{number}.md", body)
        return {**made, "body": body}

    def comments(self, issue: int | None = None) -> list[dict[str, Any]]:
        """Of one issue, or all; oldest first."""
        pattern = f"{issue}/comments/*.json" if issue is not None else "*/comments/*.json"
        files = sorted((self.folder / "issues").glob(pattern), key=lambda path: int(path.stem))
        return [
            {**found, "body": path.with_suffix(".md").read_text(encoding="utf-8")}
            for path in files
            if (found := self._read(path)) is not None
        ]

    def edit_comment(self, number: int, body: str) -> dict[str, Any] | None:
        """Replace a comment's text."""
        with self._changing():
            for found in self.comments():
                if found["id"] == number:
                    base = self.folder / "issues" / str(found["issue"]) / "comments" / str(number)
                    kept = {key: value for key, value in found.items() if key != "body"}
                    self._text(base.with_suffix(".md"), body)
                    self._write(base.with_suffix(".json"), {**kept, "updated_at": now()})
                    return {**found, "body": body}
        return None

    def delete_comment(self, number: int) -> bool:
        """Take a comment away; False if there is none."""
        with self._changing():
            found = next((each for each in self.comments() if each["id"] == number), None)
            if found is None:
                return False
            base = self.folder / "issues" / str(found["issue"]) / "comments" / str(number)
            base.with_suffix(".json").unlink()
            base.with_suffix(".md").unlink()
        return True

    # --- artifacts

    def artifact(self, run: int, name: str, files: Mapping[str, bytes]) -> dict[str, Any]:
        """Keep files as an artifact of a run; one of that name there is replaced."""
        packed = BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, content in sorted(files.items()):
                archive.writestr(zipfile.ZipInfo(path, _FIXED_TIME), content)
        for old in self.all("artifacts"):
            if old["run"] == run and old["name"] == name:
                (self.folder / "artifacts" / f"{old['id']}.json").unlink(missing_ok=True)
        content = packed.getvalue()
        made = self.put(
            "artifacts",
            {
                "name": name,
                "run": run,
                "size_in_bytes": len(content),
                "expired": False,
                "expires_at": (datetime.now(UTC) + timedelta(days=90)).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
            },
        )
        (self.folder / "artifacts" / f"{made['id']}.zip").write_bytes(content)
        return made

    def archive(self, number: int) -> bytes | None:
        """An artifact's zip."""
        path = self.folder / "artifacts" / f"{number}.zip"
        return path.read_bytes() if path.is_file() else None

    # --- files

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _next(self, kind: str) -> int:
        path = self.folder / "numbers.json"
        numbers = self._read(path) or {}
        numbers[kind] = int(numbers.get(kind, 0)) + 1
        self._write(path, numbers)
        return int(numbers[kind])

    @staticmethod
    def _read(path: Path) -> Any:
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def _write(self, path: Path, data: Any) -> None:
        self._text(path, json.dumps(data, indent=2, sort_keys=True) + "\n")

    @staticmethod
    def _text(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)


def now() -> str:
    """As GitHub writes times."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _hashed(token: str) -> str:
    """A token is kept as GitHub keeps it: not."""
    return hashlib.sha256(token.encode()).hexdigest()
