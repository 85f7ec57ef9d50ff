"""Trains as AWS's image does: its hyperparameters, channels, metric lines, early stopping and model file."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from . import checkpoint, data, metrics
from . import cluster as hosts
from .contract import StopFlag, Stopped, UserError, algorithms, base, config, processors, run, version

MODEL = "xgboost-model"
NAME = "xgboost"
# Of the job, not of XGBoost.
_OURS = (
    "num_round",
    "csv_weights",
    "early_stopping_rounds",
    "eval_metric",
    "save_model_on_termination",
    "_tuning_objective_metric",
    "use_dask_gpu_training",
)
# Below so many rows XGBoost 1.7 looked at every split unless told otherwise; later ones go by histogram.
_EXACT_BELOW = 2**22
_ROWS_A_THREAD = 10_000


def main() -> int:
    """Run as SageMaker runs it; return the exit code."""
    stop = StopFlag()
    stop.install()
    return run(lambda: train(stop))


def train(stop: StopFlag) -> None:
    """Read settings and data, train, write the model. Raises UserError, or Stopped after SIGTERM."""
    cluster = hosts.of_job()
    given = hyperparameters(config("hyperparameters.json"), cluster.is_many)
    import xgboost

    # What 1.7 took for granted and later versions do not use is named in a warning each round otherwise.
    xgboost.set_config(verbosity=int(given.get("verbosity", 1)))
    cluster.join(stop)
    try:
        rows = shared(cluster, given)
    except UserError:
        cluster.leave()  # all know: who went at once would be taken for one that has failed
        raise
    width = max(part.width for part in rows.values())
    matrices = {
        name: xgboost.DMatrix(
            data.widened(part, width).features, label=part.labels, weight=part.weights, qid=part.queries
        )
        for name, part in rows.items()
    }
    for name, part in rows.items():
        print(f"{name}: {len(part)} rows, {part.width} features", flush=True)
    folder = base() / "checkpoints"
    rounds = Rounds(given, matrices, folder, stop, cluster)
    try:
        booster = rounds.run(parameters(given, len(rows["train"]), cluster.is_many))
        cluster.leave()
    except xgboost.core.XGBoostError as error:
        raise UserError(f"XGBoost: {_last_words(str(error))}") from error
    if cluster.is_master:
        save(booster)


def shared(cluster: hosts.Cluster, given: dict[str, str]) -> dict[str, data.Rows]:
    """This host's rows, as wide as those of all; it may have none. Raises UserError, on all hosts alike."""
    problem, rows = None, {}
    try:
        rows = channels(given, cluster)
    except UserError as error:
        if not cluster.is_many:
            raise
        problem = str(error)
    cluster.agree(problem)
    everywhere = cluster.gathered({name: part and data.shape(part) for name, part in rows.items()})
    found = {}
    for name, part in rows.items():
        shapes = [each[name] for each in everywhere if each[name]]
        if not shapes:
            raise UserError(f"channel {name!r} holds no data")
        widths = {each.width for each in shapes}
        if len(widths) > 1 and not shapes[0].is_sparse:
            raise UserError(f"channel {name!r}: its files have {sorted(widths)} feature columns")
        found[name] = data.widened(data.none_of(shapes[0]) if part is None else part, max(widths))
    dense = {part.width for part in found.values() if not data.shape(part).is_sparse}
    if len(dense) > 1:
        raise UserError(
            f"train has {found['train'].width} feature columns and validation {found['validation'].width}"
        )
    return found


def save(booster: Any) -> None:
    """`xgboost-model` in UBJSON, which XGBoost loads from 1.7 on, and so do AWS's images 1.7-1 and 3.0-5."""
    folder = base() / "model"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL).write_bytes(bytes(booster.save_raw("ubj")))
    print(f"model: {MODEL}, {booster.num_boosted_rounds()} rounds", flush=True)


def hyperparameters(given: dict[str, Any], is_many: bool = False) -> dict[str, str]:
    """The job's, by their own names, for one host or many. Raises UserError with everything that is wrong."""
    texts = {key: str(value) for key, value in given.items()}
    wrong = [
        f"hyperparameter {key}: {what}" if key else what for key, what, _ in algorithms.problems(NAME, texts)
    ]
    found: dict[str, str] = algorithms.canonical(NAME, texts)
    if "_kfold" in found:
        wrong.append("hyperparameter _kfold: cross validation is not carried by the local target's image")
    if found.get("use_dask_gpu_training") == "true" or found.get("tree_method") == "gpu_hist":
        wrong.append("training on GPUs is not carried by the local target's image")
    if is_many:
        wrong += _alone(found)
    if wrong:
        raise UserError("\n".join(wrong))
    if "early_stopping_rounds" in found and not algorithms.stops_early(found):
        print("early_stopping_rounds has no effect without an eval_metric, as in AWS's image", flush=True)
    return found


def _alone(given: dict[str, str]) -> list[str]:
    """What XGBoost does on one host only: it would fail in its own words or, for gblinear, not notice."""
    wrong = []
    if given.get("booster") == "gblinear":
        wrong.append("hyperparameter booster: gblinear trains on one instance, each would have another model")
    if given.get("tree_method") == "exact" or "grow_colmaker" in given.get("updater", "").split(","):
        name = "tree_method: exact" if given.get("tree_method") == "exact" else "updater: grow_colmaker"
        wrong.append(f"hyperparameter {name} trains on one instance; hist and approx train on several")
    if given.get("dsplit") == "col":
        wrong.append(
            "hyperparameter dsplit: several instances have each some of the rows, not of the columns"
        )
    return wrong


def channels(given: dict[str, str], cluster: hosts.Cluster) -> dict[str, data.Rows | None]:
    """Rows of `train` and, if there is one, `validation`; None: other hosts have them. Raises UserError."""
    there = config("inputdataconfig.json")
    known = ("train", "validation")
    wrong = []
    if "train" not in there:
        wrong.append(f"the channel 'train' is missing; the job has {', '.join(sorted(there)) or 'none'}")
    wrong += [
        f"XGBoost knows no channel {name!r}; it has {' and '.join(known)}"
        for name in there
        if name not in known
    ]
    wrong += [
        f"channel {name!r}: Pipe mode is not read; File and FastFile are"
        for name, channel in there.items()
        if channel.get("TrainingInputMode") == "Pipe"
    ]
    if wrong:
        raise UserError("\n".join(wrong))
    # As in AWS's image, what train is, validation is too.
    how = data.kind(there["train"].get("ContentType"))
    weighted = given.get("csv_weights") == "1"
    rows: dict[str, data.Rows | None] = {}
    for name in (each for each in known if each in there):
        folder = base() / "input" / "data" / name
        # Of fewer files than hosts some host has none.
        lacks = cluster.is_many and not data.files(folder)
        rows[name] = None if lacks else data.read_channel(folder, name, how, weighted)
        replicated = there[name].get("S3DistributionType") == "FullyReplicated"
        if cluster.is_many and cluster.is_master and replicated and name == "train":
            print("train is FullyReplicated: every host has the same rows; ShardedByS3Key shares", flush=True)
    return rows


def parameters(given: dict[str, str], rows: int, is_many: bool = False) -> dict[str, str]:
    """What XGBoost gets: the hyperparameters, with the defaults of the version that the image stands for."""
    found = {key: value for key, value in given.items() if key not in _OURS}
    found.setdefault("nthread", str(max(1, min(processors(), rows // _ROWS_A_THREAD))))
    if version().startswith("1.7"):
        if found.get("objective") != "reg:absoluteerror":  # for which 1.7 looked at the labels, too
            found.setdefault("base_score", "0.5")
        if found.get("booster", "gbtree") != "gblinear" and found.get("tree_method", "auto") == "auto":
            exact = rows < _EXACT_BELOW and "max_bin" not in found and not is_many
            found["tree_method"] = "exact" if exact else "approx"
    return found


class Rounds:
    """The boosting rounds: metric lines, checkpoints, early stopping, SIGTERM; on all hosts the same ones."""

    def __init__(
        self,
        given: dict[str, str],
        matrices: dict[str, Any],
        folder: Path,
        stop: StopFlag,
        cluster: hosts.Cluster,
    ) -> None:
        self.given = given
        self.cluster = cluster
        self.matrices = matrices
        self.folder = folder
        self.stop = stop
        asked = [part.strip() for part in given.get("eval_metric", "").split(",") if part.strip()]
        searched = given.get("_tuning_objective_metric", "").rpartition(":")[2]
        self.metrics = [*asked, *([searched] if searched and searched not in asked else [])]
        self.watched = searched or (asked[-1] if asked else "")
        self.patience = int(given.get("early_stopping_rounds", 0)) if "validation" in matrices else 0

    def run(self, parameters: dict[str, str]) -> Any:
        """Train to the end, or until it gets no better; return the booster, cut back to its best round."""
        import xgboost

        native = [("eval_metric", each) for each in self.metrics if each not in metrics.ADDED]
        quiet = [("disable_default_eval_metric", 1)] if self.metrics and not native else []
        found, done, kept = self.cluster.of_master(checkpoint.find(self.folder))
        pairs = [*parameters.items(), *native, *quiet]
        booster = xgboost.Booster(
            pairs, [*self.matrices.values()], model_file=bytearray(kept) if found else None
        )
        if found and self.cluster.is_master:
            print(f"resumes after round {done} ({found})", flush=True)
        for iteration in range(done, int(self.given["num_round"])):
            booster.update(self.matrices["train"], iteration)
            values = self._measure(booster, iteration)
            stops = self._stops(booster, iteration, values)
            if self.cluster.is_master:
                checkpoint.save(self.folder, booster, iteration)
            if stops:
                break
            # SIGTERM reaches the hosts in different rounds.
            if any(self.cluster.gathered(self.stop.is_set)):
                if self.given.get("save_model_on_termination") == "true" and self.cluster.is_master:
                    save(booster)
                self.cluster.leave()
                raise Stopped(f"after round {iteration + 1}")
        best = booster.attr("best_iteration")
        if best is not None and self.given.get("booster") != "gblinear":
            whole, booster = booster, booster[: int(best) + 1]
            booster.set_attr(best_iteration=best, best_score=whole.attr("best_score"))
        return booster

    def _measure(self, booster: Any, iteration: int) -> dict[str, float]:
        """Print the round's line, in which AWS's log shows a tab as #011; its values by `validation-rmse`."""
        text = booster.eval_set([(m, n) for n, m in self.matrices.items()], iteration, feval=self._added())
        values: dict[str, float] = {}
        for part in text.split("\t")[1:]:
            name, _, value = part.rpartition(":")
            values[name] = float(value)
        values = self.cluster.of_master(values)
        if self.cluster.is_master:
            shown = "".join(f"#011{name}:{value:.5f}" for name, value in _ordered(values))
            print(f"[{iteration}]{shown}", flush=True)
        return values

    def _added(self) -> Any:
        wanted = [name for name in self.metrics if name in metrics.ADDED]

        @functools.wraps(metrics.evaluate)
        def measure(predictions: Any, matrix: Any) -> list[tuple[str, float]]:
            labels = matrix.get_label()
            # XGBoost's own metrics are of all hosts' rows; what is counted here has to be, too.
            everywhere = self.cluster.gathered((predictions, labels))
            predictions = np.concatenate([each for each, _ in everywhere])
            labels = np.concatenate([each for _, each in everywhere])
            return [(name, metrics.evaluate(name, predictions, labels)) for name in wanted]

        return measure if wanted else None

    def _stops(self, booster: Any, iteration: int, values: dict[str, float]) -> bool:
        value = values.get(f"validation-{self.watched}")
        if not self.patience or value is None:
            return False
        facts = algorithms.carried()[NAME]
        higher = self.watched.partition("@")[0] in facts["maximize"]
        best = booster.attr("best_score")
        if best is None or (value > float(best) if higher else value < float(best)):
            # Kept in the model, so that a checkpoint has it too.
            booster.set_attr(best_score=repr(value), best_iteration=str(iteration))
            return False
        return iteration - int(booster.attr("best_iteration")) >= self.patience


def _ordered(values: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(values.items(), key=lambda pair: not pair[0].startswith("train-"))


def _last_words(text: str) -> str:
    """Of an error of XGBoost's, what it says without where in its source it says so."""
    lines = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("Stack", "["))
    ]
    return " ".join(lines)[:600] or text.splitlines()[0].partition("] ")[2] or text[:600]
