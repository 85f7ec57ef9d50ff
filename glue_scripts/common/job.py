"""One run of a Glue script: what it was given, what it reads, checks and writes, and its end.

    from common import job

    glue = job.start(["MIN_RATING"], defaults={"WINDOW": "5"})
    glue["MIN_RATING"]                        # arguments are text; glue.spark is the session
    frame = glue.read_csv("ratings", "user int, movie int, rating double, at long", header=True)
    frame = glue.check(frame, "ratings")      # good rows; bad ones go to quarantine with the reason
    if not glue.rejected:                     # over a limit: nothing is written, the gate ends the run
        glue.write("train", frame, format="parquet", partitions=8)
    glue.finish()                             # manifests, profile, report; transform.json last

A dataset is its manifest: below OUTPUT_PATH lie `<dataset>/part-*`, `manifests/<dataset>.json`,
`quality.json`, `profile.json`, `quarantine/<name>/part-*` and, last, `transform.json`. Without that one
nothing exists, so a run that dies leaves nothing that could be taken for whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from awsglue.context import GlueContext
from awsglue.job import Job as GlueJob
from pyspark.context import SparkContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from common import arguments, output, quality, source, storage, tables
from common.errors import InputError, ScriptError
from common.places import Origin
from common.storage import Object

# How many partitions a shuffle makes: Spark's own number at most, and one for so many bytes that were read.
SHUFFLES = "spark.sql.shuffle.partitions"
MOST_SHUFFLES, FEWEST_SHUFFLES = 200, 4
SHUFFLE_BYTES = 4 * 1024 * 1024


def start(names: Sequence[str] = (), *, defaults: Mapping[str, str] | None = None) -> Job:
    """Resolve the arguments and start Spark, as AWS's own examples do.

    Args:
        names: arguments of the script's own that must be given ([transforms.X.arguments]).
        defaults: arguments of its own that may be left out, and what they are then.

    Raises:
        awsglue.utils.GlueArgumentError: an argument is missing; the text names it.
    """
    given = arguments.resolve(names, defaults or {})
    context = GlueContext(SparkContext.getOrCreate())
    spark = context.spark_session
    # A row with too few columns must be seen also where only some columns are asked for.
    spark.conf.set("spark.sql.csv.parser.columnPruning.enabled", "false")
    # The same data gives the same dates wherever it runs.
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    glue_job = GlueJob(context)
    glue_job.init(given["JOB_NAME"], given)
    made = Job(spark, given, arguments.quality(), glue_job)
    made.begin()
    return made


@dataclass
class _Channel:
    """A channel that was read."""

    marked: DataFrame
    frame: DataFrame
    origin: Origin
    checked: bool = False


@dataclass
class Job:
    """A run in progress. Make it by `start`.

    Attributes:
        spark: the session.
        arguments: what the run was given, by name; `glue["NAME"]` is short for it.
    """

    spark: SparkSession
    arguments: Mapping[str, str]
    rules: Mapping[str, Any]
    _glue: Any
    _channels: dict[str, _Channel] = field(default_factory=dict)
    _checked: dict[str, quality.Checked] = field(default_factory=dict)
    _written: dict[str, output.Dataset] = field(default_factory=dict)
    _apart: set[tuple[str, str]] = field(default_factory=set)
    _shuffles_given: bool = False

    def __post_init__(self) -> None:
        self._shuffles_given = self.spark.conf.get(SHUFFLES) != str(MOST_SHUFFLES)

    def __getitem__(self, name: str) -> str:
        return self.arguments[name]

    @property
    def output(self) -> str:
        """OUTPUT_PATH without a slash at its end."""
        return self.arguments["OUTPUT_PATH"].rstrip("/")

    @property
    def rejected(self) -> bool:
        """Whether data so far is over a limit; then nothing more is written, and `finish` says why."""
        return any(checked.failed for checked in self._checked.values())

    def begin(self) -> None:
        """Undo what an earlier attempt at the same place left; without transform.json it is nothing."""
        storage.delete_under(f"{self.output}/")

    # --- reading

    def read_csv(
        self,
        channel: str,
        schema: str | StructType,
        *,
        header: bool,
        separator: str = ",",
        arrays: Mapping[str, int] | None = None,
    ) -> DataFrame:
        """A channel's CSV objects (also .gz) as a frame of the declared schema: its well-formed rows.

        A row with another number of columns, or a value that is not of its type, is malformed: `check` counts
        it and puts it into quarantine with the reason (`finish` does, if the channel is not checked).

        Args:
            channel: a name in `reads`; `--<CHANNEL>_PATH` is a prefix or a SageMaker manifest.
            schema: such as `user int, movie int, rating double`. An empty value is null.
            header: whether every object begins with a line of the column names.
            arrays: widths of the schema's array columns, such as {"pixels": 784} for a column
                `pixels array<short>`: so many columns lie there in the object (`pixels0`, `pixels1`, …). A
                wide table of numbers without quotes is planned and read faster so.

        Raises:
            InputError: no objects; or one is truncated, empty, has another header or number of columns.
        """
        objects = source.locate(channel, arguments.path_of(channel))
        written: dict[str, Any] = {"header": header, "separator": separator, "arrays": arrays or {}}
        with self._naming(objects):
            kind = tables.schema_of(self.spark, schema)
            marked = tables.read_csv(self.spark, channel, objects, kind, **written)
        origin = Origin(objects, lambda uri: tables.numbered(self.spark, uri, kind, **written))
        return self._read(channel, marked, origin)

    def read_parquet(self, channel: str, schema: str | StructType) -> DataFrame:
        """A channel's Parquet objects as a frame of the declared schema; types may be widened, not narrowed.

        Raises:
            InputError: no objects; or one is truncated, lacks a column, or has one of another type.
        """
        objects = source.locate(channel, arguments.path_of(channel))
        marked = tables.read_parquet(self.spark, channel, objects, tables.schema_of(self.spark, schema))
        return self._read(channel, marked, Origin(objects))

    def _read(self, channel: str, marked: DataFrame, origin: Origin) -> DataFrame:
        objects = origin.objects
        frame = marked.where(F.col(tables.REASON).isNull()).drop(tables.LINE, tables.REASON)
        self._channels[channel] = _Channel(marked, frame, origin)
        self._size_shuffles()
        say(f"channel {channel}: {len(objects)} objects, {sum(item.bytes for item in objects):,} bytes")
        return frame

    def _size_shuffles(self) -> None:
        """Fewer partitions for little data: Spark's 200 are 200 tasks a stage, however few the rows.

        AQE joins small ones, but not those of a frame that is held, as what was checked is. Data of gigabytes
        keeps the 200, and who gave a number of his own (`--conf`) that one.
        """
        if self._shuffles_given:
            return
        total = sum(item.bytes for channel in self._channels.values() for item in channel.origin.objects)
        # Of the data alone, not of the machine: the same data is put apart alike everywhere.
        wanted = min(max(FEWEST_SHUFFLES, -(-total // SHUFFLE_BYTES)), MOST_SHUFFLES)
        self.spark.conf.set(SHUFFLES, str(wanted))

    # --- checking

    def check(self, frame: DataFrame, name: str, *, keep: bool = True) -> DataFrame:
        """The good rows of a frame. The bad ones are in quarantine, and the report says what was found.

        Args:
            frame: what `read_csv` or `read_parquet` gave, or a frame that will be written.
            name: of the channel or dataset; its rules are [transforms.X.quality.<name>].
            keep: hold the rows in Spark's memory and on its disk: they are read once to check, once to use.
        """
        if name in self._checked:
            raise ScriptError(f"{name!r} was checked already")
        channel = self._channels.get(name)
        marked, origin = frame, None
        if channel is not None and channel.frame is frame:
            marked, origin, channel.checked = channel.marked, channel.origin, True
        else:
            nothing = F.lit(None).cast("string")
            marked = frame.withColumn(tables.LINE, nothing).withColumn(tables.REASON, nothing)
        with self._naming():
            checked = quality.check(marked, self.rules.get(name) or {}, keep=keep, origin=origin)
            if checked.bad is not None:
                checked.quarantine = f"{self.output}/quarantine/{name}/"
                checked.bad.write.mode("overwrite").json(checked.quarantine)
        self._checked[name] = checked
        self._keep_apart()
        say(f"{name}: {checked.rows:,} rows, {checked.bad_rows:,} bad")
        for why in checked.failed:
            say(f"{name}: OVER THE LIMIT: {why}")
        return checked.good

    def _keep_apart(self) -> None:
        """Equal keys in frames that must not share any, as soon as both are known."""
        for name, checked in self._checked.items():
            rules = self.rules.get(name) or {}
            for other in rules.get("apart_from") or []:
                if other not in self._checked or (name, other) in self._apart:
                    continue
                self._apart.add((name, other))
                key = list(rules.get("apart_key") or rules.get("key") or [])
                rows, example = quality.overlap(checked.good, self._checked[other].good, key)
                most = rules.get("shared_rows") or 0
                keyed = ", ".join(key)
                why = f"leakage: {rows:,} rows of {name} have a key ({keyed}) of {other}, allowed {most:,}"
                checked.checks.append(
                    quality.result(
                        "leakage.keys",
                        keyed,
                        rows,
                        f"{most:,} rows",
                        rows <= most,
                        why + (f", such as {example}" if example else ""),
                        quality.Example(example) if example else None,
                    )
                )

    # --- writing

    def write(
        self,
        dataset: str,
        frame: DataFrame,
        *,
        format: Literal["parquet", "csv"] = "parquet",
        partitions: int | None = None,
        header: bool = False,
        compression: str | None = None,
    ) -> int:
        """Write a dataset below OUTPUT_PATH and return its rows. If the data is rejected, write nothing: 0.

        Rules that are declared for the dataset are checked first, unless the script did so.

        Args:
            format: `parquet`, or `csv`; an array column becomes as many columns there.
            partitions: so many objects, with evenly many rows; None: as Spark has them.
        """
        if dataset in self._written:
            raise ScriptError(f"dataset {dataset!r} was written already")
        if dataset in self.rules and dataset not in self._checked:
            frame = self.check(frame, dataset)
        if self.rejected:
            say(f"dataset {dataset}: not written, the data is over a limit")
            return 0
        with self._naming():
            made = output.write(
                f"{self.output}/{dataset}/",
                frame,
                format=format,
                partitions=partitions,
                header=header,
                compression=compression,
            )
        self._written[dataset] = made
        say(f"dataset {dataset}: {made.rows:,} rows in {len(made.objects)} objects")
        return made.rows

    # --- the end

    def finish(self) -> None:
        """Write manifests, profile and report, then transform.json, and end the Glue job well.

        Raises:
            ScriptError: rules were declared for a frame that the script never checked.
        """
        for name, channel in self._channels.items():
            if not channel.checked and name not in self._checked:
                # Only to count and keep what is malformed.
                self.check(channel.frame, name, keep=False)
        unheeded = sorted(set(self.rules) - set(self._checked))
        if unheeded and not self.rejected:
            raise ScriptError(
                f"the settings have quality rules for {', '.join(unheeded)}, which the script never checked: "
                f"call check(frame, {unheeded[0]!r})"
            )
        self._all_kept_apart()
        output.finish(
            self.output, self.arguments["FINGERPRINT"], self._written, self._checked, rejected=self.rejected
        )
        for checked in self._checked.values():
            for frame in checked.held:
                frame.unpersist()
        self._glue.commit()

    def _all_kept_apart(self) -> None:
        for name, rules in self.rules.items():
            for other in rules.get("apart_from") or []:
                if (name, other) not in self._apart and not self.rejected:
                    raise ScriptError(f"{name} must share no key with {other}, which was never checked")

    @contextmanager
    def _naming(self, objects: Sequence[Object] = ()) -> Iterator[None]:
        """Spark's errors about a damaged object name the object, where reading them again finds it."""
        try:
            yield
        except (InputError, ScriptError):
            raise
        except Exception as error:
            every = [
                *objects,
                *(item for channel in self._channels.values() for item in channel.origin.objects),
            ]
            named = source.diagnose(every)
            if named:
                raise InputError(named) from error
            raise


def say(text: str) -> None:
    """A line in the run's log."""
    print(text, flush=True)
