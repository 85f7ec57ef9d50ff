"""Holds a frame against its rules: the good rows, the bad ones with the reason in quarantine, a report.

One pass over the rows counts everything that is declared and takes the profile; categories, duplicate keys
and label purity each need a grouping, so one pass more where they are asked for. No row comes to the driver.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from common import leakage, places
from common.places import Example, Origin
from common.profile import Plan
from common.rules import DUPLICATE, MALFORMED, FrameRules, Limit, RowRule
from common.tables import LINE, REASON

BAD = "_bad"
# The object that a bad row is of, as Spark names it.
FILE = "_file"
# How the reason of a duplicate begins.
REPEATED = "duplicate of "
INTERNAL = (LINE, REASON, BAD, FILE)


@dataclass
class Checked:
    """What became of one frame.

    Attributes:
        good: its good rows, with its own columns.
        bad: the others, with LINE, FILE and REASON besides; None: there are none.
        rows, bad_rows: how many.
        checks: the rules' results, `{"rule", "column", "measured", "allowed", "passed", "why", "example",
            "at"}`; `at` is where the example stands.
        profile: of the good rows.
    """

    good: DataFrame
    bad: DataFrame | None
    rows: int
    bad_rows: int
    checks: list[dict[str, Any]]
    profile: dict[str, Any]
    quarantine: str = ""
    held: list[DataFrame] = field(default_factory=list)

    @property
    def failed(self) -> list[str]:
        """What is over a limit, in words."""
        return [check["why"] for check in self.checks if not check["passed"]]


def check(
    marked: DataFrame, given: Mapping[str, Any], *, keep: bool, origin: Origin | None = None
) -> Checked:
    """Hold a frame against its rules.

    Args:
        marked: its columns, and LINE and REASON where a row is malformed.
        given: its part of `--QUALITY`.
        keep: hold the rows in Spark's memory and on its disk, because they are read more than once.
        origin: the objects that the rows were read from; None: they were computed.
    """
    rules = FrameRules(given)
    names = [name for name in marked.columns if name not in INTERNAL]
    own = rules.of_rows(marked)
    bad = reduce(lambda one, other: one | other, [_broken(rule) for rule in own], F.col(REASON).isNotNull())
    # Told in the stage that reads, for bad rows alone: the others shall not carry an address about.
    file = F.when(F.col(BAD), F.input_file_name()) if origin else F.lit(None).cast("string")
    flagged = marked.withColumn(BAD, bad).withColumn(FILE, file)
    held = []
    if keep:
        flagged = flagged.persist()
        held.append(flagged)
    repeats = _repeats(flagged, rules)
    if repeats:
        flagged = _flag_repeats(flagged, names, rules)
        if keep:
            # Numbering rows within their keys sorts them all: once is enough.
            flagged = flagged.persist()
            held.append(flagged)
    label = [given["label"]] if given.get("label") else []
    plan = Plan(marked.select(names), tuple(given.get("profile_ignore") or ()), label)
    row = _count(flagged, plan, own, rules, given)
    rows, bad_rows = row["rows"], row["bad"]
    good = flagged.where(~F.col(BAD)).select(names)
    selected = plan.select(good)
    profile = plan.read(row, rows - bad_rows, plan.tops(selected, row))
    faults = (
        flagged.where(F.col(BAD)).select(*names, LINE, FILE, _reasons(own).alias(REASON))
        if bad_rows
        else None
    )
    examples = _examples(flagged, own, origin) if bad_rows else {}
    counts = {rule.name: (row[f"b{i}"], rule.column, rule.limit) for i, rule in enumerate(own)}
    checks = [
        *_columns(marked, rules),
        *_row_checks(MALFORMED, row["malformed"], "", rules.limit, rows, examples),
        *_row_checks(
            DUPLICATE, repeats, ", ".join(rules.key), rules.duplicate_limit, rows, examples, bool(rules.key)
        ),
    ]
    for name, (count, column, limit) in counts.items():
        checks += _row_checks(name, count, column, limit, rows, examples, True)
    checks += _all_bad(bad_rows, rows, rules.limit)
    checks += _sizes(rows - bad_rows, given)
    checks += _nulls(row, rules, marked, rows - bad_rows)
    checks += _leaks(good, given, plan, profile, row)
    return Checked(good, faults, rows, bad_rows, checks, profile, held=held)


def overlap(one: DataFrame, other: DataFrame, key: list[str]) -> tuple[int, str]:
    """How many rows of `one` have a key that `other` has too, and such a key as an example."""
    keys = other.select(*key).distinct()
    shared = one.select(*key).join(keys, on=key, how="left_semi")
    text = F.substring(F.to_json(F.struct(*key)), 1, 120)
    row = shared.agg(F.count(F.lit(1)).alias("rows"), F.min(text).alias("example")).first()
    return row["rows"], row["example"] or ""


# --- counting


def _broken(rule: RowRule) -> Column:
    """A missing value breaks no rule about values; of a malformed row, only that it is malformed counts."""
    return F.col(REASON).isNull() & F.coalesce(rule.broken, F.lit(False))


def _repeats(flagged: DataFrame, rules: FrameRules) -> int:
    """How many good rows have the key of another one before them."""
    if not rules.key or any(name not in flagged.columns for name in rules.key):
        return 0
    counts = flagged.where(~F.col(BAD)).groupBy(*rules.key).count()
    return int(counts.agg(F.sum(F.col("count") - 1).alias("repeats")).first()["repeats"] or 0)


def _flag_repeats(flagged: DataFrame, names: list[str], rules: FrameRules) -> DataFrame:
    """All rows of a key but one are bad. Which one stays follows from the rows, not from their order."""
    order = [F.col(BAD), F.xxhash64(*names)]
    number = F.row_number().over(Window.partitionBy(*rules.key).orderBy(*order))
    said = F.concat(F.lit(REPEATED), F.substring(F.to_json(F.struct(*rules.key)), 1, 120))
    numbered = flagged.withColumn("_number", number)
    repeated = (F.col("_number") > 1) & ~F.col(BAD)
    return (
        numbered.withColumn(REASON, F.when(repeated, said).otherwise(F.col(REASON)))
        .withColumn(BAD, F.col(BAD) | repeated)
        .drop("_number")
    )


def _count(
    flagged: DataFrame, plan: Plan, own: list[RowRule], rules: FrameRules, given: Mapping[str, Any]
) -> Any:
    """Everything that one aggregation over the rows can tell."""
    label = given.get("label")
    extra = [
        F.col(BAD),
        (F.col(REASON).isNotNull() & ~F.col(REASON).startswith(REPEATED)).alias("malformed"),
    ]
    extra += [_broken(rule).alias(f"b{i}") for i, rule in enumerate(own)]
    extra += [expression.alias(f"z{i}") for i, (_, _, expression) in enumerate(_null_counts(flagged, rules))]
    if label and label in plan.numbers:
        extra.append(plan.numbers[label].alias("label"))
    good = ~F.col(BAD)
    wanted = [
        F.count(F.lit(1)).alias("rows"),
        F.count(F.when(F.col(BAD), 1)).alias("bad"),
        F.count(F.when(F.col("malformed"), 1)).alias("malformed"),
        *[F.count(F.when(F.col(f"b{i}"), 1)).alias(f"b{i}") for i in range(len(own))],
        *[
            F.sum(F.when(good, F.col(f"z{i}"))).alias(f"z{i}")
            for i, _ in enumerate(_null_counts(flagged, rules))
        ],
        *plan.aggregates(good),
    ]
    if label and label in plan.numbers:
        for i, name in enumerate(plan.numbers):
            if name != label:
                both = good & F.col(f"n{i}").isNotNull() & F.col("label").isNotNull()
                wanted.append(
                    F.corr(F.when(both, F.col(f"n{i}")), F.when(both, F.col("label"))).alias(f"r{i}")
                )
    return plan.select(flagged, *extra).agg(*wanted).first()


def _null_counts(frame: DataFrame, rules: FrameRules) -> list[tuple[str, int, Column]]:
    """Rule, how many values a row has of it, and the row's number of nulls."""
    found = []
    for name, columns, rule in rules.columns(frame):
        if rule.get("nulls") is not None and columns:
            absent = [F.col(f"`{column}`").isNull().cast("int") for column in columns]
            found.append((name, len(columns), F.aggregate(F.array(*absent), F.lit(0), lambda a, b: a + b)))
    return found


def _reasons(own: list[RowRule]) -> Column:
    said = [F.when(_broken(rule), rule.reason) for rule in own]
    return F.concat_ws("; ", F.col(REASON), *said)


def _examples(flagged: DataFrame, own: list[RowRule], origin: Origin | None) -> dict[str, Example]:
    """One row for each rule that was broken: what is said of it, and where it stands."""
    repeated = F.col(REASON).startswith(REPEATED)
    broken = {rule.name: (_broken(rule), rule.reason) for rule in own}
    broken[MALFORMED] = (~repeated, F.col(REASON))
    everything = {**broken, DUPLICATE: (repeated, F.col(REASON))}
    place = F.coalesce(F.col(FILE), F.lit(""))
    wanted = [
        F.min(F.when(test, F.struct(place.alias("file"), said.alias("said")))).alias(f"e{i}")
        for i, (test, said) in enumerate(everything.values())
    ]
    row = flagged.where(F.col(BAD)).agg(*wanted).first()
    found = {
        name: (row[f"e{i}"]["file"], row[f"e{i}"]["said"])
        for i, name in enumerate(everything)
        if row[f"e{i}"] is not None
    }
    return places.examples(found, broken, origin)


# --- results


def result(
    rule: str,
    column: str,
    measured: Any,
    allowed: str,
    passed: bool,
    why: str,
    example: Example | None = None,
) -> dict[str, Any]:
    """One rule's result as the report has it."""
    return {
        "rule": rule,
        "column": column,
        "measured": measured,
        "allowed": allowed,
        "passed": passed,
        "why": why,
        **places.result_at(example),
    }


def _row_checks(
    name: str,
    count: int,
    column: str,
    limit: Limit,
    rows: int,
    examples: Mapping[str, Example],
    always: bool = True,
) -> Iterator[dict[str, Any]]:
    """A rule about single rows: how many broke it."""
    if not (count or always):
        return
    passed = limit.allows(count, rows)
    example = examples.get(name)
    why = f"{name}: {count:,} of {rows:,} rows ({count / rows if rows else 0:.2%}), allowed {limit}"
    if example:
        why += f", such as: {example.reason}" + (f" ({example.at})" if example.at else "")
    yield result(name, column, count, str(limit), passed, why, example)


def _all_bad(bad: int, rows: int, limit: Limit) -> Iterator[dict[str, Any]]:
    why = f"all rules together: {bad:,} of {rows:,} rows are bad, allowed {limit}"
    yield result("bad_rows", "", bad, str(limit), limit.allows(bad, rows), why)


def _sizes(good: int, given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    low, high = given.get("minimum_rows") or 1, given.get("maximum_rows")
    passed = good >= low and (high is None or good <= high)
    allowed = f"{low:,} or more" if high is None else f"{low:,} to {high:,}"
    yield result("rows", "", good, allowed, passed, f"rows: {good:,} good ones, allowed {allowed}")


def _columns(marked: DataFrame, rules: FrameRules) -> Iterator[dict[str, Any]]:
    """Columns that must be there, and their types."""
    for name, columns, rule in rules.columns(marked):
        if not columns:
            there = ", ".join(c for c in marked.columns if c not in INTERNAL)
            yield result(
                "schema", name, "absent", "present", False, f"schema: no column {name}; there are {there}"
            )
        wanted = rule.get("type")
        for column in columns if wanted else []:
            kind = marked.schema[column].dataType.simpleString()
            why = f"schema: {column} is {kind}, expected {wanted}"
            yield result("schema", column, kind, str(wanted), kind == wanted, why)
    for column, kind, what in rules.misfits(marked):
        why = f"schema: {column} is {kind}, and its {what}"
        yield result("schema", column, kind, what.partition("about ")[2], False, why)
    for column in rules.key:
        if column not in marked.columns:
            yield result(
                "schema", column, "absent", "present", False, f"schema: no column {column}, which is a key"
            )


def _nulls(row: Any, rules: FrameRules, marked: DataFrame, good: int) -> Iterator[dict[str, Any]]:
    """The share of nulls among a column's values in good rows."""
    limits = {name: rule["nulls"] for name, _, rule in rules.columns(marked) if rule.get("nulls") is not None}
    for i, (name, width, _) in enumerate(_null_counts(marked, rules)):
        share = (row[f"z{i}"] or 0) / (good * width) if good else 0.0
        why = f"{name}.nulls: {share:.2%} of the values, allowed {limits[name]:.2%}"
        yield result(
            f"{name}.nulls", name, round(share, 6), f"{limits[name]:.2%}", share <= limits[name], why
        )


def _leaks(
    good: DataFrame, given: Mapping[str, Any], plan: Plan, profile: Mapping[str, Any], row: Any
) -> Iterator[dict[str, Any]]:
    """Features that give the label away; see leakage.py for what purity is."""
    label, limits = given.get("label"), given.get("leakage")
    if not label or limits is None:
        return
    if label not in profile["columns"]:
        yield result(
            "schema", label, "absent", "present", False, f"schema: no column {label}, which is the label"
        )
        return
    ignored = {label, *(limits.get("ignore") or [])}
    most = limits.get("correlation")
    for i, name in enumerate(plan.numbers):
        if most is None or name in ignored or f"r{i}" not in row:
            continue
        value = abs(row[f"r{i}"] or 0.0)
        why = f"leakage: |correlation| of {name} with {label} is {value:.3f}, allowed {most:g}"
        yield result("leakage.correlation", name, round(value, 6), f"{most:g}", value <= most, why)
    most = limits.get("purity")
    if most is None or _labels(profile["columns"][label]) > leakage.MOST_LABELS:
        return
    names = [name for name in [*plan.numbers, *plan.categories] if name not in ignored]
    for name, (with_it, without) in sorted(leakage.purity(good, label, plan, profile, names).items()):
        # Where nearly all rows have one label, every feature is pure: it must tell more than none does.
        passed = with_it <= most or with_it - without < (1 - without) / 2
        why = (
            f"leakage: {name} alone tells {with_it:.2%} of the labels in {label} ({without:.2%} without it), "
            f"allowed {most:.2%}"
        )
        yield result("leakage.purity", name, round(with_it, 6), f"{most:.2%}", passed, why)


def _labels(column: Mapping[str, Any]) -> int:
    """How many values a label has, as far as the profile tells."""
    if column["kind"] == "category":
        return int(column["distinct"])
    return len(set(column["quantiles"]))
