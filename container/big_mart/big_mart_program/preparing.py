"""Raw rows into what training reads, fitted on training rows only.

In:  /opt/ml/processing/<channel>/**.csv, with a header and the label
Out: in /opt/ml/processing/output:
     train/train.csv, validation/validation.csv    the label first, no header: as XGBoost's image reads it
     test/test.csv                                 raw rows with a header, as they came: held out
     model/features.json                           what was fitted; Bundle ships it with the model
     transform.json                                what was made, written last
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from script_mode import Folders, ProgramError, StopFlag, run_program, write_atomically

from . import columns, encoder, fitting, parts, receipt, table
from .columns import Arguments
from .encoder import BadValue, Encoder
from .table import Table

CHANNEL = "raw"


def main() -> int:
    """Run as SageMaker Processing runs it; return the exit code."""
    folders = Folders.from_environment()
    stop = StopFlag()
    stop.install()
    return run_program(lambda: prepare(folders, sys.argv[1:], stop), folders.message)


def prepare(folders: Folders, given: Sequence[str], stop: StopFlag) -> None:
    """Write the datasets. Raises ProgramError for bad arguments or data, Stopped after SIGTERM."""
    arguments = columns.parse(given)
    raw = table.read(folders.processing / CHANNEL, CHANNEL, arguments.label, arguments.named)
    stop.check()
    rows = parts.split(raw, arguments)
    try:
        fitted = fitting.fit(raw, rows["train"], arguments)
        made = {name: learnt_from(raw, rows[name], fitted) for name in ("train", "validation")}
        made["test"] = held_out(raw, rows["test"], arguments, fitted)
    except BadValue as error:
        raise ProgramError(str(error)) from error
    stop.check()
    about = described(raw, rows, fitted)
    out = folders.processing / "output"
    for name, text in made.items():
        write_atomically(out / name / f"{name}.csv", text)
    write_atomically(out / "model" / encoder.FILE, fitted.as_json(about))
    receipt.write(out, {**{name: len(rows[name]) for name in parts.PARTS}, "model": 1})
    counts = ", ".join(f"{name} {len(rows[name])}" for name in parts.PARTS)
    print(f"rows: {counts}; features: {len(fitted.names)}, fitted on the rows of train", flush=True)


def learnt_from(raw: Table, rows: Sequence[int], fitted: Encoder) -> str:
    """Label and features of some rows as CSV, nine digits each: more than XGBoost's 32-bit numbers have."""
    lines = []
    for row in rows:
        try:
            features = fitted.row(raw.rows[row])
        except BadValue as error:
            raise BadValue(f"row {row + 1} of the data: {error}") from None
        lines.append(",".join(f"{value:.9g}" for value in (raw.labels[row], *features)))
    return "\n".join(lines) + "\n"


def held_out(raw: Table, rows: Sequence[int], arguments: Arguments, fitted: Encoder) -> str:
    """Raw rows with their header, the label last: what the model is asked in its evaluation."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*raw.columns, arguments.label])
    for row in rows:
        fitted.row(raw.rows[row])  # a cell that serving would refuse is refused here
        writer.writerow([*raw.rows[row], repr(raw.labels[row])])
    return out.getvalue()


def described(raw: Table, rows: dict[str, list[int]], fitted: Encoder) -> dict[str, Any]:
    """What features.json says besides."""
    return {
        "rows": {name: len(found) for name, found in rows.items()},
        "label_means": {name: fmean(raw.labels[row] for row in found) for name, found in rows.items()},
        "unseen_in_training": {
            name: sum(bool(fitted.unknown(raw.rows[row])) for row in found)
            for name, found in rows.items()
            if name != "train"
        },
        "data_sha256": raw.digests,
    }
