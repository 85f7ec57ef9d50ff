"""The real docker command, told the address of the local registry where it is told the account's own."""

from __future__ import annotations

import os
import re
import shutil
import sys
from typing import NoReturn
from urllib.parse import urlsplit

_HOST = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?")


def main(arguments: list[str], path: str) -> NoReturn:
    """Become docker.

    Args:
        path: where it is looked for.
    """
    program = shutil.which("docker", path=path)
    if program is None:
        print("docker: an engine answers, but docker's command line is not installed here", file=sys.stderr)
        sys.exit(127)
    here = urlsplit(os.environ.get("AWS_ENDPOINT_URL", "")).netloc
    told = [_HOST.sub(here, each) if here else each for each in arguments]
    os.execv(program, [program, *told])
