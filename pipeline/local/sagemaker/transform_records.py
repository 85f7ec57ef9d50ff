"""Records of a batch transform: split off an object, filtered, put into payloads, joined with the answers.

A record is a line without its end where the input is split by lines (empty lines are none), else the whole
object. Answers stand in the order of the records, one a record where they are joined. No I/O but the given
streams'.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Literal

from pipeline.local.sagemaker.transform_path import WHOLE, BadPath, Path

Format = Literal["csv", "jsonlines", "json", ""]
INPUT, OUTPUT = "SageMakerInput", "SageMakerOutput"


class BadRecord(Exception):
    """A record that cannot be sent or joined; the message says why."""


def format_of(content_type: str) -> Format:
    """Which of the formats that can be filtered and joined a MIME type is; "" for none."""
    kind = content_type.partition(";")[0].strip().lower()
    known: dict[str, Format] = {
        "text/csv": "csv",
        "application/jsonlines": "jsonlines",
        "application/json": "json",
    }
    return known.get(kind, "")


@dataclass(frozen=True)
class Batch:
    """One request: the records as they were read, and the payload made of them."""

    records: list[bytes]
    payload: bytes


@dataclass(frozen=True)
class Plan:
    """How an object's records become requests, and answers become its output.

    Args:
        lines: SplitType is Line.
        single: BatchStrategy is SingleRecord.
        limit: bytes of a payload; 0 for none.
        newline: AssembleWith is Line.
        kind: format of the input.
        join: JoinSource is Input.
    """

    lines: bool
    single: bool
    limit: int
    newline: bool
    kind: Format = ""
    before: Path = WHOLE
    after: Path = WHOLE
    join: bool = False

    # -- requests --------------------------------------------------------------------------------------

    def batches(self, stream: IO[bytes]) -> Iterator[Batch]:
        """The requests for one object. Raises BadRecord."""
        if not self.lines:
            content = stream.read()
            if content:
                yield Batch([content], self._checked(self._filtered(content)))
            return
        records: list[bytes] = []
        pieces: list[bytes] = []
        size = 0
        for record in self._records(stream):
            piece = self._checked(self._filtered(record) + b"\n")
            if records and (self.single or (self.limit and size + len(piece) > self.limit)):
                yield Batch(records, b"".join(pieces))
                records, pieces, size = [], [], 0
            records.append(record)
            pieces.append(piece)
            size += len(piece)
        if records:
            yield Batch(records, b"".join(pieces))

    @staticmethod
    def _records(stream: IO[bytes]) -> Iterator[bytes]:
        for line in stream:
            record = line.rstrip(b"\r\n")
            if record:
                yield record

    def _checked(self, payload: bytes) -> bytes:
        if self.limit and len(payload) > self.limit:
            what = "a record" if self.lines else "the object"
            raise BadRecord(
                f"{what} of {len(payload)} bytes is larger than MaxPayloadInMB ({self.limit // 2**20})"
            )
        return payload

    def _filtered(self, record: bytes) -> bytes:
        if self.before.whole:
            return record
        try:
            if self.kind == "csv":
                return _row(self.before.of_row(_cells(record)))
            return _text(self.before.of(_value(record)))
        except BadPath as error:
            raise BadRecord(f"InputFilter {error}") from None

    # -- answers ------------------------------------------------------------------------------------------

    @property
    def as_it_is(self) -> bool:
        """Whether answers go into the output as they come."""
        return self.after.whole and not self.join

    def output(self, batch: Batch, body: bytes, content_type: str) -> bytes:
        """What an answer adds to the object's output. Raises BadRecord."""
        if self.as_it_is:
            return body + b"\n" if self.newline and not body.endswith(b"\n") else body
        answers = self._answers(body, content_type, len(batch.records))
        try:
            made = [
                self._joined(record, answer) for record, answer in zip(batch.records, answers, strict=True)
            ]
        except BadPath as error:
            raise BadRecord(f"OutputFilter {error}") from None
        end = b"\n" if self.newline else b""
        return b"".join(each + end for each in made)

    def _answers(self, body: bytes, content_type: str, count: int) -> list[bytes]:
        told = format_of(content_type)
        if (self.kind == "csv") != (told == "csv"):
            raise BadRecord(
                f"the model answered {content_type or 'without a content type'}, which cannot be joined with "
                f"{'text/csv' if self.kind == 'csv' else 'JSON'}: both must be of one format"
            )
        if count == 1 and told == "json":
            return [body.strip()]
        found = [line.rstrip(b"\r") for line in body.split(b"\n") if line.rstrip(b"\r")]
        if len(found) != count:
            raise BadRecord(f"the model answered {len(found)} records for {count}")
        return found

    def _joined(self, record: bytes, answer: bytes) -> bytes:
        if self.kind == "csv":
            cells = _cells(answer)
            return _row(self.after.of_row([*_cells(record), *cells] if self.join else cells))
        made = _value(answer)
        if self.join:
            given = _value(record)
            made = {**given, OUTPUT: made} if isinstance(given, dict) else {INPUT: given, OUTPUT: made}
        return _text(self.after.of(made))


def _cells(record: bytes) -> list[str]:
    try:
        return next(csv.reader([record.decode("utf-8")], strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadRecord(f"a record is no CSV: {error}") from None


def _row(cells: list[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(cells)
    return out.getvalue().encode()


def _value(record: bytes) -> Any:
    try:
        return json.loads(record)
    except ValueError as error:
        raise BadRecord(f"a record is no JSON: {error}") from None


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
