"""Trains mnist in script mode: dense layers on `train`, stopped by `validation`; checkpointed, repeatable.

Runs as SageMaker's TensorFlow container calls a script, as `train` of this image does, and by hand:

    SM_MODEL_DIR=model SM_CHANNEL_TRAIN=data/train SM_CHANNEL_VALIDATION=data/validation \
      python training.py --epochs 5
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mnist_program.fitting import fit
from script_mode import Arguments, Folders, StopFlag


def arguments() -> Arguments:
    """The hyperparameters, and where SageMaker puts things."""
    parser = Arguments("Train mnist on what the transform wrote.")
    parser.whole("epochs", 20, 1, 10_000)
    parser.whole("batch_size", 64, 1, 65_536)
    parser.number("learning_rate", 0.001, 0, 1, above=True)
    parser.number("l2", 0.001, 0, 10)
    # Epochs without a better validation loss until training ends; 0: it goes through all of them.
    parser.whole("patience", 4, 0, 10_000)
    # Rows of which the next is drawn: what is in memory of the training data, 3 kB each.
    parser.whole("shuffle_rows", 10_000, 1, 10_000_000)
    parser.whole("seed", 7, 0, 2**31 - 1)
    parser.add_argument("--model_dir", default=os.environ.get("SM_MODEL_DIR"))
    parser.add_argument("--train", default=os.environ.get("SM_CHANNEL_TRAIN"))
    parser.add_argument("--validation", default=os.environ.get("SM_CHANNEL_VALIDATION"))
    parser.add_argument("--checkpoints", default=str(Folders.from_environment().checkpoints))
    return parser


def main() -> None:
    """Parse, train, write the model. Raises ProgramError, or Stopped after SIGTERM."""
    stop = StopFlag()
    stop.install()
    given = vars(arguments().parse(sys.argv[1:]))
    folders = {name: given.pop(name) for name in ("model_dir", "train", "validation", "checkpoints")}
    fit(given, {name: Path(folder) if folder else None for name, folder in folders.items()}, stop)


if __name__ == "__main__":
    main()
