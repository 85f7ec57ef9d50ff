"""The server process of the local target: MiniStack with our plug-ins, on one loopback port.

    python -m pipeline.local.server --root REPOSITORY [--port PORT]

MiniStack reads its settings when it is imported, so nothing here imports it before `_environment` ran.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from pipeline.local import context, processes
from pipeline.local.paths import StatePaths

logger = logging.getLogger("pipeline.local")

HOST = "127.0.0.1"


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.local.server", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the repository's folder")
    parser.add_argument("--port", type=int, default=0, help="port to take if it is free; else any free one")
    args = parser.parse_args(argv)

    paths = StatePaths.of(args.root)
    paths.make()
    guard = _only_one(paths)
    if guard is None:
        print(f"another server already serves {paths.folder}", file=sys.stderr)
        return 3
    listener = _listen(args.port)
    port = listener.getsockname()[1]
    endpoint_url = f"http://{HOST}:{port}"
    _environment(paths, port)
    _temporary(paths)
    context.start(paths, endpoint_url)
    _write_record(paths, port, endpoint_url)
    try:
        from pipeline.local.adapter.install import install

        application = install()
        asyncio.run(_serve(application.asgi, listener, application.on_start, application.on_stop))
    finally:
        paths.server.unlink(missing_ok=True)
        guard.close()
    return 0


def _only_one(paths: StatePaths) -> IO[str] | None:
    guard = paths.server_lock.open("a")
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        guard.close()
        return None
    return guard


def _listen(port: int) -> socket.socket:
    """A listening socket, bound before anything slow happens: no other process can take the port."""
    for candidate in (port, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, candidate))
            # Backlog from here on: a client of a restarting server waits instead of being refused.
            listener.listen(256)
        except OSError:
            listener.close()
            if candidate == 0:
                raise
        else:
            return listener
    raise AssertionError("unreachable")


def _environment(paths: StatePaths, port: int) -> None:
    """MiniStack's settings. Whatever the caller's shell had for AWS or MiniStack does not reach it."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "MINISTACK_", "LOCALSTACK_", "SFN_")) or name in (
            "SERVICES",
            "EDGE_PORT",
        ):
            del os.environ[name]
    os.environ.update(
        {
            "AUTH": "true",
            "BIND_HOST": HOST,
            "MINISTACK_HOST": HOST,
            "GATEWAY_PORT": str(port),
            "PERSIST_STATE": "1",
            "S3_PERSIST": "1",
            "STATE_DIR": str(paths.services),
            "S3_DATA_DIR": str(paths.s3),
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "USE_SSL": "0",
            # Without an engine a function runs in a worker process; with one it would need AWS's image.
            "LAMBDA_EXECUTOR": "local",
            "LOG_LEVEL": os.environ.get("PIPELINE_LOCAL_LOG_LEVEL", "INFO"),
            # A client made in this process must not look for an account on the machine.
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            processes.OWNER_VARIABLE: str(paths.folder),
        }
    )
    # A proxy of the user's is for the world outside, never for this endpoint.
    for name in ("NO_PROXY", "no_proxy"):
        others = os.environ.get(name, "")
        os.environ[name] = ",".join(filter(None, (others, HOST, "localhost")))


def _temporary(paths: StatePaths) -> None:
    """Temporary files of this process are its repository's: what a killed one left is removed here."""
    shutil.rmtree(paths.temporary, ignore_errors=True)
    paths.temporary.mkdir(mode=0o700)
    tempfile.tempdir = str(paths.temporary)


def _write_record(paths: StatePaths, port: int, endpoint_url: str) -> None:
    pid = os.getpid()
    started = processes.start_time(pid)
    temporary = paths.server.with_suffix(".tmp")
    record = {"pid": pid, "started": started, "port": port, "endpoint_url": endpoint_url}
    temporary.write_text(json.dumps(record))
    temporary.replace(paths.server)
    paths.port.write_text(str(port))


async def _serve(
    asgi: Callable, listener: socket.socket, on_start: Callable[[], None], on_stop: Callable[[], None]
) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.keep_alive_timeout = 75
    config.backlog = 256
    # A client's idle connection counts as open until then.
    config.graceful_timeout = 0.3
    config.loglevel = "WARNING"

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)

    async def stopped() -> None:
        # hypercorn asks for this once the lifespan has started: the socket is served from here on.
        threading.Thread(target=on_start, name="on-start", daemon=True).start()
        await stop.wait()
        logger.info("stopping")
        await asyncio.to_thread(on_stop)

    await serve(asgi, config, shutdown_trigger=stopped)


if __name__ == "__main__":
    sys.exit(main())
