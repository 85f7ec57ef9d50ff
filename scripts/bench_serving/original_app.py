"""The original's program: Flask and pandas behind gunicorn, as SageMaker's bring-your-own examples do it."""

from __future__ import annotations

import io
import os

import flask
import lightgbm
import pandas as pd

LABELS_ONLY = bool(os.environ.get("BENCH_LABELS_ONLY"))
CLASSES = ("setosa", "versicolor", "virginica")
booster = lightgbm.Booster(model_file=os.path.join(os.environ["SAGEMAKER_BASE_DIR"], "model", "model.txt"))  # noqa: PTH118
app = flask.Flask(__name__)


@app.route("/ping", methods=["GET"])
def ping() -> flask.Response:
    return flask.Response(response="\n", status=200, mimetype="application/json")


@app.route("/invocations", methods=["POST"])
def invocations() -> flask.Response:
    if flask.request.content_type != "text/csv":
        return flask.Response(response="only CSV", status=415, mimetype="text/plain")
    data = pd.read_csv(io.StringIO(flask.request.data.decode("utf-8")), header=None)
    found = booster.predict(data)
    frame = pd.DataFrame({"label": [CLASSES[index] for index in found.argmax(axis=1)]})
    if not LABELS_ONLY:
        frame[list(CLASSES)] = found
    out = io.StringIO()
    frame.to_csv(out, header=False, index=False)
    return flask.Response(response=out.getvalue(), status=200, mimetype="text/csv")
