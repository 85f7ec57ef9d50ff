"""What the serving stack calls: loads the model of mask_rcnn and answers requests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mask_rcnn_program import PLANES, formats
from mask_rcnn_program.model import Model, load
from script_mode import ProgramError, threads
from serving import LoadError, metric


def model_fn(model_dir: str) -> Model:
    """The model, with its first prediction behind it: that one sets up PyTorch's threads and memory."""
    torch.set_num_threads(threads())
    try:
        model = load(Path(model_dir))
    except ProgramError as error:
        raise LoadError(str(error)) from error
    model.find(np.zeros((PLANES, 64, 64), dtype=np.float32))
    return model


def transform_fn(model: Model, body: str | bytes, content_type: str | None, accept: str) -> tuple[bytes, str]:
    """One image in, its objects' masks and scores out; formats.py says in which forms."""
    kind, writer = formats.choose_writer(accept)
    planes = formats.read(body, content_type or "")
    found = model.find(planes)
    metric("objects", float((found.scores >= 0.5).sum()))
    height, width = planes.shape[1:]
    return writer(found, model.names, (height, width)), kind
