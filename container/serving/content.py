"""The default input_fn and output_fn: bodies into NumPy arrays and predictions into bodies.

Shapes and types are those of the SageMaker inference toolkit (one row of CSV is one-dimensional), at a
fraction of its cost; unlike there, .npy is never unpickled, JSON Lines and Parquet are read too, and columns
of mixed whole and decimal numbers are one float array. NumPy, pandas and pyarrow are imported only when they
are needed.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

from .errors import RequestError
from .negotiation import accepted, as_text, media_type, unread

CSV, JSON, JSON_LINES = "text/csv", "application/json", "application/jsonlines"
NPY, NPZ, PARQUET = "application/x-npy", "application/x-npz", "application/x-parquet"
ALIASES = {
    "application/x-jsonlines": JSON_LINES,
    "application/x-ndjson": JSON_LINES,
    "application/vnd.apache.parquet": PARQUET,
    "application/parquet": PARQUET,
}
OFFERED = (JSON, CSV, JSON_LINES, NPY)


def decode(body: Any, content_type: str | None) -> Any:
    """The body as an array (Parquet: a pandas DataFrame). Raises RequestError 415 or 400."""
    kind = media_type(content_type)
    reader = _READERS.get(ALIASES.get(kind, kind))
    if reader is None:
        raise unread(content_type, _READERS)
    try:
        return reader(body)
    except RequestError:
        raise
    except (ValueError, TypeError, KeyError, OSError, EOFError, RecursionError, OverflowError) as error:
        raise RequestError(400, f"the body is not {kind}: {error}") from error


def encode(prediction: Any, accept: str) -> tuple[str | bytes, str]:
    """The prediction in the type that Accept likes best. Raises RequestError 406."""
    kind = accepted(accept, OFFERED)
    return _WRITERS[kind](prediction), kind


def text_of(body: Any) -> str:
    """A body as text. Raises RequestError 400 when it is not UTF-8."""
    return body if isinstance(body, str) else as_text(bytes(body))


def _read_csv(body: Any) -> Any:
    import numpy as np

    text = text_of(body)
    rows = [line.split(",") for line in text.splitlines() if line.strip()]
    if not rows:
        raise RequestError(400, "the body holds no rows")
    # Any letter or point is a decimal number, or text: for whole numbers int is the toolkit's type too.
    kind = float if any(mark in text for mark in ".eEnN") else int
    try:
        found = np.array([[kind(cell) for cell in row] for row in rows])
    except ValueError:
        # Ragged, empty or text cells: as the toolkit has it, text columns and all.
        found = np.genfromtxt(io.StringIO(text), dtype=None, delimiter=",", encoding="utf-8")
    return np.squeeze(found)


def _read_json(body: Any) -> Any:
    import numpy as np

    return np.array(json.loads(text_of(body)))


def _read_json_lines(body: Any) -> Any:
    import numpy as np

    rows = [json.loads(line) for line in text_of(body).splitlines() if line.strip()]
    if not rows:
        raise RequestError(400, "the body holds no rows")
    if all(isinstance(row, dict) and set(row) == {"features"} for row in rows):
        rows = [row["features"] for row in rows]
    return np.array(rows)


def _read_npy(body: Any) -> Any:
    import numpy as np

    return np.load(io.BytesIO(body), allow_pickle=False)


def _read_npz(body: Any) -> Any:
    import scipy.sparse  # type: ignore[import-not-found,import-untyped,unused-ignore]

    return scipy.sparse.load_npz(io.BytesIO(body))


def _read_parquet(body: Any) -> Any:
    try:
        import pandas  # type: ignore[import-untyped,import-not-found,unused-ignore]
        import pyarrow.parquet  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError as error:
        raise RequestError(415, f"Parquet needs {error.name} among the image's requirements") from None
    try:
        table = pyarrow.parquet.read_table(io.BytesIO(body))
    except pyarrow.ArrowException as error:
        raise RequestError(400, f"the body is not Parquet: {error}") from None
    return pandas.DataFrame({name: table[name].to_numpy() for name in table.column_names})


def _listed(prediction: Any) -> Any:
    return prediction.tolist() if hasattr(prediction, "tolist") else prediction


def _plain(value: Any) -> Any:
    """For json: arrays and NumPy's numbers inside lists and objects."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _write_json(prediction: Any) -> str:
    return json.dumps(_listed(prediction), default=_plain)


def _write_json_lines(prediction: Any) -> str:
    rows = _listed(prediction)
    return "".join(
        json.dumps(row, default=_plain) + "\n" for row in (rows if isinstance(rows, list) else [rows])
    )


def _write_csv(prediction: Any) -> str:
    if getattr(getattr(prediction, "dtype", None), "str", "") in ("<f8", "<i8"):
        rows = prediction.tolist()
        if prediction.ndim == 2:
            return "".join(",".join(map(str, row)) + "\n" for row in rows)
        if prediction.ndim == 1:
            return "".join(f"{value}\n" for value in rows)
    import numpy as np

    stream = io.StringIO()
    np.savetxt(stream, np.asarray(prediction), delimiter=",", fmt="%s")
    return stream.getvalue()


def _write_npy(prediction: Any) -> bytes:
    import numpy as np

    stream = io.BytesIO()
    np.save(stream, np.asarray(prediction), allow_pickle=False)
    return stream.getvalue()


_READERS: dict[str, Callable[[Any], Any]] = {
    CSV: _read_csv,
    JSON: _read_json,
    JSON_LINES: _read_json_lines,
    NPY: _read_npy,
    NPZ: _read_npz,
    PARQUET: _read_parquet,
}
_WRITERS: dict[str, Callable[[Any], str | bytes]] = {
    JSON: _write_json,
    CSV: _write_csv,
    JSON_LINES: _write_json_lines,
    NPY: _write_npy,
}
