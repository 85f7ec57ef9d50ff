"""Trains the Wide & Deep model on `train`, stopped by `validation`; ships it with what serving looks up.

Channels: train, validation (samples), users, catalogue (the latest statistics), embeddings (item2vec). A
script as SageMaker's own framework containers call one: hyperparameters are arguments, folders are SM_*
variables.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from script_mode import Arguments, Folders, StopFlag, write_atomically


def arguments() -> Arguments:
    """The hyperparameters: names, defaults and ranges."""
    known = Arguments("Train Wide & Deep")
    known.whole("epochs", 10, 1, 1000)
    known.whole("batch_size", 512, 1, 1_000_000)
    known.number("learning_rate", 0.001, 0, 1, above=True)
    known.number("l2", 0.00001, 0, 1)
    # Most users of tomorrow are new: so often the model is told not to know a user, and learns without.
    known.number("user_dropout", 0.5, 0, 1)
    known.whole("early_stopping_epochs", 2, 0, 1000)
    known.whole("user_buckets", 4096, 2, 100_000_000)
    known.whole("movie_buckets", 4096, 2, 100_000_000)
    known.whole("cross_buckets", 10_000, 1, 100_000_000)
    # Rows shuffled with each other; what bounds the memory of training beside the model.
    known.whole("shuffle_rows", 65_536, 1, 100_000_000)
    known.whole("seed", 7, 0, 2**31 - 1)
    return known


def main() -> None:
    """Read, train, write the model. Raises ProgramError, or Stopped after SIGTERM."""
    stop = StopFlag()
    stop.install()
    values = vars(arguments().parse())
    # Imported here: a wrong hyperparameter need not wait for it.
    from recommender_program import bundle
    from recommender_program.fit import Fit
    from recommender_program.samples import Channel

    training = Channel(_folder("train"), "train")
    validation = Channel(_folder("validation"), "validation")
    tables = bundle.Tables.read(_folder("users"), _folder("catalogue"), _folder("embeddings"))
    print(
        f"rows: train {training.rows}, validation {validation.rows}; users {len(tables.users.ids)}, "
        f"movies {len(tables.movies.ids)}, embeddings {len(tables.embeddings.ids)}",
        flush=True,
    )
    fit = Fit(values, training, validation, Folders.from_environment().checkpoints, stop)
    weights = fit.run()
    folder = Path(os.environ["SM_MODEL_DIR"])
    bundle.save(folder, fit.survey.encoder, weights, tables, fit.survey.movie_likes)
    description = {**fit.describe(), "tables": tables.describe()}
    write_atomically(folder / bundle.METADATA, json.dumps(description, indent=2, sort_keys=True) + "\n")
    print(f"model: {folder}, epoch {fit.best.epoch}", flush=True)


def _folder(channel: str) -> Path:
    """A channel's folder; where the job has no such channel, one that is not there."""
    given = os.environ.get(f"SM_CHANNEL_{channel.upper()}")
    return Path(given) if given else Folders.from_environment().data / channel


if __name__ == "__main__":
    main()
