"""Answers as AWS's image does: CSV or LIBSVM in, CSV or JSON out."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from . import data
from .contract import UserError, base, processors

MAX_BYTES = int(os.environ.get("MAX_CONTENT_LENGTH") or 6 * 2**20)
ACCEPTED = ("text/csv", "application/json", "application/jsonlines")


class Model:
    """The boosters of a model folder; several are averaged, or vote, as in AWS's image. For any thread."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError: no model there, or something that is none."""
        import xgboost

        self._xgboost = xgboost
        self._guard = threading.Lock()
        found = [
            path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")
        ]
        if not found:
            raise UserError("model.tar.gz holds no model; XGBoost's is a file such as xgboost-model")
        self._boosters = [self._load(path) for path in found]
        settings = json.loads(self._boosters[0].save_config())["learner"]
        self.objective = str(settings["objective"]["name"])
        self.width = int(self._boosters[0].num_features())

    def _load(self, path: Path) -> Any:
        booster = self._xgboost.Booster({"nthread": 1})
        try:
            booster.load_model(str(path))
        except self._xgboost.core.XGBoostError as error:
            raise UserError(
                f"{path.name} in model.tar.gz is no model that XGBoost {self._xgboost.__version__} loads "
                "(UBJSON, JSON or the old binary format; pickles are not loaded), and SageMaker's image "
                "takes every file for one: "
                f"{str(error).splitlines()[0][:200]}"
            ) from None
        return booster

    def predict(self, rows: data.Rows) -> Any:
        """Predictions of shape (rows,) or (rows, classes). Raises UserError where features differ."""
        import numpy

        if rows.width > self.width or (isinstance(rows.features, numpy.ndarray) and rows.width != self.width):
            raise UserError(f"{rows.width} features; the model was trained with {self.width}")
        with self._guard:
            matrix = self._xgboost.DMatrix(data.widened(rows, self.width).features, nthread=1)
            found = [booster.predict(matrix, validate_features=False) for booster in self._boosters]
        if len(found) == 1:
            return found[0]
        if self.objective in ("multi:softmax", "binary:hinge"):
            return numpy.array([numpy.bincount(votes.astype(int)).argmax() for votes in numpy.array(found).T])
        return numpy.mean(found, axis=0)


def parse(body: bytes, content_type: str | None) -> data.Rows:
    """A request's rows, without labels. Raises UserError."""
    how = data.kind(content_type)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise UserError("the request is no UTF-8 text") from None
    if how == data.CSV:
        return data.csv(text, "request", labelled=False)
    return data.libsvm(text, "request", labelled=False)


def choose(accept: str | None) -> str:
    """The type of the answer: CSV unless asked. Raises UserError."""
    plain = (accept or "").partition(";")[0].strip().lower()
    if plain in ("", "*/*"):
        plain = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT") or "text/csv"
    if plain not in ACCEPTED:
        raise UserError(f"Accept type {accept} is not supported; supported are {', '.join(ACCEPTED)}")
    return plain


def encode(predictions: Any, accept: str, batch: bool) -> str:
    """The answer in AWS's forms: a line each; in JSON `{"predictions": [{"score": ...}]}`."""
    values = predictions.tolist()
    if accept == "application/json" and not batch:
        return json.dumps({"predictions": [{"score": value} for value in values]})
    if accept == "application/jsonlines" and not batch:
        return "".join(json.dumps({"score": value}) + "\n" for value in values)
    if batch:
        return "".join(f"{value}\n" for value in values)
    return "".join(",".join(map(str, v)) + "\n" if isinstance(v, list) else f"{v}\n" for v in values)


class Handler(BaseHTTPRequestHandler):
    """One connection; `model` is set before the server starts."""

    model: Model
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """/ping, which is answered only once the model is loaded, and /execution-parameters."""
        if self.path == "/ping":
            self._answer(200, "", "text/plain")
        elif self.path == "/execution-parameters":
            found = {
                "MaxConcurrentTransforms": processors(),
                "BatchStrategy": "MULTI_RECORD",
                "MaxPayloadInMB": MAX_BYTES // 2**20,
            }
            self._answer(200, json.dumps(found), "application/json")
        else:
            self._answer(404, "not found\n", "text/plain")

    def do_POST(self) -> None:
        """/invocations: 415 for what cannot be read, 400 predicted, 406 answered so."""
        chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
        length = self.headers.get("Content-Length", "")
        if self.path != "/invocations" or not (chunked or length.isdigit()):
            self.close_connection = True
            self._answer(404 if self.path != "/invocations" else 411, "", "text/plain")
            return
        body = self._chunks() if chunked else self._exactly(int(length))
        if body is None:
            self.close_connection = True
            self._answer(413, f"more than {MAX_BYTES} bytes\n", "text/plain")
            return
        if not body:
            self._answer(204, "", "text/plain")
            return
        status = 415
        try:
            rows = parse(body, self.headers.get("Content-Type"))
            status = 400
            predictions = self.model.predict(rows)
            status = 406
            accept = choose(self.headers.get("Accept"))
        except UserError as error:
            print(f"{status}: {error}", flush=True)
            self._answer(status, f"{error}\n", "text/plain")
            return
        self._answer(200, encode(predictions, accept, bool(os.environ.get("SAGEMAKER_BATCH"))), accept)

    def _exactly(self, length: int) -> bytes | None:
        return self.rfile.read(length) if length <= MAX_BYTES else None

    def _chunks(self) -> bytes | None:
        """A body of chunks, as a batch without a limit of its payload sends it."""
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
            if len(body) > MAX_BYTES:
                return None
        self.rfile.readline()
        return body

    def _answer(self, status: int, text: str, content_type: str) -> None:
        body = text.encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests that went well are not logged."""


def main() -> int:
    """Load the model, then serve until SIGTERM; return the exit code."""
    try:
        if os.environ.get("SAGEMAKER_INFERENCE_OUTPUT"):
            raise UserError(
                "SAGEMAKER_INFERENCE_OUTPUT (selected contents) is not carried by the local target's image"
            )
        Handler.model = Model(base() / "model")
    except (UserError, OSError) as error:
        print(f"cannot serve: {error}", file=sys.stderr, flush=True)
        return 1
    address = (os.environ.get("HOST") or "0.0.0.0", int(os.environ.get("SAGEMAKER_BIND_TO_PORT") or 8080))
    server = ThreadingHTTPServer(address, Handler)
    server.daemon_threads = True
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(
        f"serves {Handler.model.objective}, {Handler.model.width} features, on port {server.server_port}",
        flush=True,
    )
    server.serve_forever(poll_interval=0.2)
    return 0
