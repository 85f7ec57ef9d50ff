"""Trains Mask R-CNN in script mode on `train`: checkpointed after each epoch, repeatable, on any number of
hosts.

Runs as SageMaker's PyTorch container calls a script, as `train` of this image does, and by hand:

    SM_MODEL_DIR=model SM_CHANNEL_TRAIN=data/train python training.py --num_epochs 3
    SM_MODEL_DIR=model SM_CHANNEL_TRAIN=data/train torchrun --nproc-per-node 2 training.py --num_epochs 3

It prints one line an epoch; these expressions read the metrics out of the log:

    train:loss             \\btrain_loss=([0-9.eE+-]+);
    train:mask_loss        \\btrain_mask_loss=([0-9.eE+-]+);
    train:box_loss         \\btrain_box_loss=([0-9.eE+-]+);
    train:seconds          \\bepoch_seconds=([0-9.eE+-]+);
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mask_rcnn_program.fitting import fit
from script_mode import Arguments, Folders, StopFlag


def arguments() -> Arguments:
    """The hyperparameters, and where SageMaker puts things."""
    parser = Arguments("Train Mask R-CNN on images and the masks of their objects.")
    parser.whole("num_epochs", 20, 1, 10_000)
    # The background counts as one, as in torchvision.
    parser.whole("num_classes", 2, 2, 1000)
    # Of all processes together: two hosts take half of it each.
    parser.whole("batch_size", 4, 1, 1024)
    parser.number("learning_rate", 0.002, 0, 1, above=True)
    parser.number("weight_decay", 0.0001, 0, 1)
    # Epochs over which the learning rate rises; from there it falls as half a cosine.
    parser.number("warmup_epochs", 1, 0, 1000)
    # Length to which a step's gradient is cut; 0: never.
    parser.number("clip_norm", 5, 0, 1e6)
    # `auto`: 16 bits where there is a GPU; `on` refuses to train without one.
    parser.word("mixed_precision", "auto", ("auto", "on", "off"))
    # Objects below so many pixels are not learnt and not counted.
    parser.whole("smallest_object", 8, 1, 1_000_000)
    parser.whole("seed", 7, 0, 2**31 - 1)
    parser.add_argument("--model_dir", default=os.environ.get("SM_MODEL_DIR"))
    parser.add_argument("--train", default=os.environ.get("SM_CHANNEL_TRAIN"))
    parser.add_argument("--checkpoints", default=str(Folders.from_environment().checkpoints))
    return parser


def main() -> None:
    """Parse, train, write the model. Raises ProgramError, or Stopped after SIGTERM."""
    stop = StopFlag()
    stop.install()
    given = vars(arguments().parse(sys.argv[1:]))
    folders = {name: given.pop(name) for name in ("model_dir", "train", "checkpoints")}
    fit(given, {name: Path(folder) if folder else None for name, folder in folders.items()}, stop)


if __name__ == "__main__":
    main()
