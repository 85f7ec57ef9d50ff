"""What a build finds around it: a Python of its own, the AWS CLI, docker where there is an engine.

A build image cannot be had without a registry on the network, so a build runs as a process of this machine
with nothing of the server's environment: its own home, its own virtual environment first on PATH, where
`pip install` of a buildspec lands. What it asks of the machine itself (`apt-get`, `yum`) is the machine's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def programs(folder: Path) -> Path:
    """The folder that is first on the build's PATH."""
    return folder / "python" / "bin"


def make(folder: Path) -> dict[str, str]:
    """Make home, tmp and virtual environment below `folder`; the variables that lead there."""
    for name in ("home", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    venv = folder / "python"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "uv",
            "venv",
            "--quiet",
            "--seed",
            "--no-project",
            "--python",
            sys.executable,
            venv,
        ],
        env={**_installer(), "HOME": str(folder / "home")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    for tool in ("aws", "aws_completer"):
        own = Path(sys.executable).parent / tool
        if own.exists():
            (programs(folder) / tool).symlink_to(own)
    return {
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "LANG": "C.UTF-8",
        "PATH": os.pathsep.join([str(programs(folder)), SYSTEM_PATH]),
        # Proxies, indexes, caches: what an installer needs on this machine.
        **_installer(),
    }


def told(build: Mapping[str, Any], source: str, log_path: str) -> dict[str, str]:
    """The variables that CodeBuild sets.

    https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html
    """
    return {
        "CI": "true",
        "CODEBUILD_BUILD_ARN": build["arn"],
        "CODEBUILD_BUILD_ID": build["id"],
        "CODEBUILD_BUILD_IMAGE": build["environment"].get("image", ""),
        "CODEBUILD_BUILD_NUMBER": str(build["buildNumber"]),
        "CODEBUILD_INITIATOR": build["initiator"],
        "CODEBUILD_KMS_KEY_ID": build.get("encryptionKey", ""),
        "CODEBUILD_LOG_PATH": log_path,
        "CODEBUILD_RESOLVED_SOURCE_VERSION": build.get("resolvedSourceVersion", ""),
        "CODEBUILD_SOURCE_REPO_URL": source,
        "CODEBUILD_SOURCE_VERSION": build.get("sourceVersion", ""),
        "CODEBUILD_START_TIME": str(int(build["startTime"] * 1000)),
    }


def _installer() -> dict[str, str]:
    prefixes = (
        "PIP_",
        "UV_",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "SSL_CERT",
        "REQUESTS_CA",
        "XDG_CACHE",
    )
    own = ("UV_PROJECT",)
    found = {k: v for k, v in os.environ.items() if k.startswith(prefixes) and not k.startswith(own)}
    found.setdefault("UV_SYSTEM_CERTS", "true")
    # A cache below another home would be fetched anew by every build.
    found.setdefault("XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"))
    return found
