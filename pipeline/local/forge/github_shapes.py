"""Documents of the store as GitHub's API writes them: addresses made absolute, nested as its schemas are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.local.forge.github_store import Store


class Shapes:
    """Of one repository behind one address.

    Args:
        api: where this API answers.
        server: what pages begin with.
    """

    def __init__(self, store: Store, api: str, server: str) -> None:
        self.store = store
        self._api = f"{api}/repos/{store.repository}"
        self._page = f"{server}/{store.repository}"

    def repository(self) -> dict[str, Any]:
        return {**self.store.facts, "url": self._api, "html_url": self._page}

    def comment(self, data: Mapping[str, Any]) -> dict[str, Any]:
        kind = "pull" if self.store.get("pulls", data["issue"]) else "issues"
        return {
            **_only(data, "id", "user", "body", "created_at", "updated_at"),
            "url": f"{self._api}/issues/comments/{data['id']}",
            "issue_url": f"{self._api}/issues/{data['issue']}",
            "html_url": f"{self._page}/{kind}/{data['issue']}#issuecomment-{data['id']}",
        }

    def pull(self, data: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **data,
            "url": f"{self._api}/pulls/{data['number']}",
            "html_url": f"{self._page}/pull/{data['number']}",
            "issue_url": f"{self._api}/issues/{data['number']}",
            "merged_at": data.get("merged_at"),
        }

    def issue(self, data: Mapping[str, Any], *, pull: bool = False) -> dict[str, Any]:
        labels = [each if isinstance(each, dict) else {"name": each} for each in data.get("labels", ())]
        found = {
            **_only(data, "number", "id", "title", "body", "state", "user", "created_at", "updated_at"),
            "labels": labels,
            "url": f"{self._api}/issues/{data['number']}",
            "html_url": f"{self._page}/{'pull' if pull else 'issues'}/{data['number']}",
            "comments": len(self.store.comments(int(data["number"]))),
        }
        if pull:
            found["pull_request"] = {"url": f"{self._api}/pulls/{data['number']}"}
        return found

    def run(self, data: Mapping[str, Any]) -> dict[str, Any]:
        own = {"id": self.store.id, "full_name": self.store.repository}
        return {
            "head_repository": own,
            "run_attempt": 1,
            "conclusion": None,
            **data,
            "repository": own,
            "url": f"{self._api}/actions/runs/{data['id']}",
            "html_url": f"{self._page}/actions/runs/{data['id']}",
            "artifacts_url": f"{self._api}/actions/runs/{data['id']}/artifacts",
        }

    def artifact(self, data: Mapping[str, Any]) -> dict[str, Any]:
        run = self.run(self.store.get("runs", data["run"]) or {"id": data["run"]})
        url = f"{self._api}/actions/artifacts/{data['id']}"
        return {
            **{key: value for key, value in data.items() if key != "run"},
            "url": url,
            "archive_download_url": f"{url}/zip",
            "workflow_run": {
                "id": run["id"],
                "repository_id": run["repository"]["id"],
                "head_repository_id": run["head_repository"]["id"],
                "head_branch": run.get("head_branch"),
                "head_sha": run.get("head_sha"),
            },
        }


def _only(data: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: data.get(key) for key in keys}
