"""A job's first and last step on the local remote: `take` waits for leave, `give` gives it back."""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path


def main(verb: str) -> int:
    """0, or 1 when the job may not go on."""
    asked = {
        "job": os.environ["FORGE_JOB"],
        "name": os.environ["FORGE_NAME"],
        "environment": os.environ["FORGE_ENVIRONMENT"],
        "group": os.environ["FORGE_GROUP"],
    }
    summary = Path(os.environ.get("GITHUB_STEP_SUMMARY") or os.devnull)
    if verb == "give" and summary.is_file():
        asked["summary"] = summary.read_text(encoding="utf-8", errors="replace")
    request = urllib.request.Request(
        f"{os.environ['FORGE_CONTROL']}/{verb}",
        data=json.dumps(asked).encode(),
        headers={"Authorization": f"Bearer {os.environ['FORGE_SECRET']}", "Content-Type": "application/json"},
    )
    # 127.0.0.1 is reached as it is, whatever proxy this machine has for the world.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request) as answer:
            given = json.load(answer)
    except urllib.error.HTTPError as error:
        print(json.load(error).get("message", error.reason))
        return 1
    with Path(os.environ["GITHUB_ENV"]).open("a", encoding="utf-8") as file:
        for name, value in given.get("variables", {}).items():
            # A token is nobody's to read in a log.
            print(f"::add-mask::{value}" if name.endswith("TOKEN") else f"{name} is set")
            file.write(f"{name}={value}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
