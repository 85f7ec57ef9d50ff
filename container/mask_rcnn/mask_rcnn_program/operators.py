"""torchvision's compiled operators where they load; two of them in PyTorch's own where they do not.

The package index has torchvision built for CUDA alone. Beside a PyTorch for the CPU its library does not
load, and torchvision cannot even be imported: it describes operators that nobody has defined. This defines
them first. Mask R-CNN needs two: `nms`, and `roi_align`, here by `grid_sample`, which has a derivative of its
own (torchvision's fallback is compiled at its first call, and takes a hundred times as long).
"""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

NATIVE, OURS = "torchvision's own", "in PyTorch"

# As torchvision defines them (torchvision/csrc/ops/*.cpp); only the first two are given a body.
_ROI = "Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width"
_BACK = "Tensor grad, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width"
_SIZE = "SymInt batch_size, SymInt channels, SymInt height, SymInt width"
_DEFORM = (
    "Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, SymInt stride_h, SymInt stride_w, "
    "SymInt pad_h, SymInt pad_w, SymInt dilation_h, SymInt dilation_w, SymInt groups, SymInt offset_groups, "
    "bool use_mask"
)
_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    f"roi_align({_ROI}, int sampling_ratio, bool aligned) -> Tensor",
    f"_roi_align_backward({_BACK}, {_SIZE}, int sampling_ratio, bool aligned) -> Tensor",
    f"ps_roi_align({_ROI}, int sampling_ratio) -> (Tensor, Tensor)",
    "_ps_roi_align_backward(Tensor grad, Tensor rois, Tensor channel_mapping, float spatial_scale, "
    f"SymInt pooled_height, SymInt pooled_width, int sampling_ratio, {_SIZE}) -> Tensor",
    f"roi_pool({_ROI}) -> (Tensor, Tensor)",
    "_roi_pool_backward(Tensor grad, Tensor rois, Tensor argmax, float spatial_scale, SymInt pooled_height, "
    f"SymInt pooled_width, {_SIZE}) -> Tensor",
    f"ps_roi_pool({_ROI}) -> (Tensor, Tensor)",
    "_ps_roi_pool_backward(Tensor grad, Tensor rois, Tensor channel_mapping, float spatial_scale, "
    f"SymInt pooled_height, SymInt pooled_width, {_SIZE}) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    f"qroi_align({_ROI}, int sampling_ratio, bool aligned) -> Tensor",
    f"deform_conv2d({_DEFORM}) -> Tensor",
    f"_deform_conv2d_backward(Tensor grad, {_DEFORM}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)

_kept: list[Any] = []  # a Library that is collected takes its operators along


def install() -> str:
    """Make `import torchvision` work; which operators are used, for people. A second call changes nothing."""
    if not _kept and not _native():
        library = torch.library.Library("torchvision", "DEF")
        for schema in _SCHEMAS:
            library.define(schema)
        import torchvision

        library.impl("nms", nms, "CPU")
        # Above autograd its steps are recorded, and have derivatives; below it (inference mode) they just
        # run.
        for key in ("AutogradCPU", "CPU"):
            library.impl("roi_align", roi_align, key)
        torchvision.extension._has_ops = _yes
        sys.modules["torchvision.ops.roi_align"]._has_ops = _yes  # type: ignore[attr-defined]
        _kept.append(library)
    return OURS if _kept else NATIVE


def _native() -> bool:
    """Whether torchvision's library loads beside this PyTorch."""
    if "torchvision" in sys.modules:
        return bool(sys.modules["torchvision"].extension._has_ops())
    found = importlib.util.find_spec("torchvision")
    places = list(found.submodule_search_locations or ()) if found else []
    for path in sorted(path for place in places for path in Path(place).glob("_C*") if path.suffix != ".py"):
        try:
            torch.ops.load_library(str(path))
        except OSError:
            continue
        return True
    return False


def _yes() -> bool:
    return True


def nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Indices of the boxes (n, 4) that are kept, best score first: none overlaps a better one by more."""
    order = scores.argsort(descending=True, stable=True)
    left = boxes[order].to(torch.float32)
    area = (left[:, 2] - left[:, 0]) * (left[:, 3] - left[:, 1])
    low = torch.maximum(left[:, None, :2], left[None, :, :2])
    high = torch.minimum(left[:, None, 2:], left[None, :, 2:])
    both = (high - low).clamp(min=0).prod(dim=2)
    overlaps = (both > iou_threshold * (area[:, None] + area[None, :] - both)).numpy()
    gone = [False] * len(order)
    kept = []
    for index in range(len(order)):
        if gone[index]:
            continue
        kept.append(index)
        for other in overlaps[index, index + 1 :].nonzero()[0].tolist():
            gone[index + 1 + other] = True
    return order[torch.tensor(kept, dtype=torch.int64)]


def roi_align(
    planes: torch.Tensor,
    rois: torch.Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> torch.Tensor:
    """(rois, channels, pooled_height, pooled_width): the mean of points spread over each cell of each box.

    Args:
        planes: (images, channels, height, width).
        rois: (rois, 5): the image's index, then x1, y1, x2, y2 before scaling.
        sampling_ratio: points a cell and axis; below 1 as many as the largest box asks for (torchvision
            decides that box by box, which differs by less than the bilinear interpolation itself).
    """
    sides = (rois[:, 3:] - rois[:, 1:3]) * spatial_scale
    points = sampling_ratio
    if points < 1:
        widest = float((sides / sides.new_tensor([pooled_width, pooled_height])).max()) if len(rois) else 1.0
        points = max(1, math.ceil(widest))
    start = rois[:, 1:3] * spatial_scale - (0.5 if aligned else 0.0)
    sides = sides if aligned else sides.clamp(min=1.0)
    x = _spread(start[:, 0], sides[:, 0], pooled_width, points)
    y = _spread(start[:, 1], sides[:, 1], pooled_height, points)
    height, width = planes.shape[-2:]
    grid = torch.stack(
        torch.broadcast_tensors(_unit(x, width)[:, None, :], _unit(y, height)[:, :, None]), dim=-1
    )
    inside = ((y >= -1) & (y <= height))[:, :, None] & ((x >= -1) & (x <= width))[:, None, :]
    found = planes.new_zeros((len(rois), planes.shape[1], pooled_height, pooled_width))
    for image in range(len(planes)):
        mine = (rois[:, 0] == image).nonzero()[:, 0]
        if len(mine):
            # One tall picture of all boxes: grid_sample then reads the planes where they are.
            tall = grid[mine].reshape(1, len(mine) * pooled_height * points, pooled_width * points, 2)
            seen = functional.grid_sample(
                planes[image : image + 1], tall.to(planes.dtype), "bilinear", "border", True
            )
            seen = seen.reshape(-1, len(mine), pooled_height * points, pooled_width * points)
            seen = functional.avg_pool2d(seen * inside[mine].to(planes.dtype), points)
            found = found.index_copy(0, mine, seen.transpose(0, 1))
    return found


def _spread(start: torch.Tensor, side: torch.Tensor, cells: int, points: int) -> torch.Tensor:
    """(rois, cells * points): the points' places along one axis."""
    steps = torch.arange(cells * points, dtype=start.dtype, device=start.device)
    return start[:, None] + (steps + 0.5)[None, :] * (side / (cells * points))[:, None]


def _unit(place: torch.Tensor, length: int) -> torch.Tensor:
    """Pixels to grid_sample's scale, -1 at the first pixel's middle and 1 at the last's."""
    return place * (2.0 / max(1, length - 1)) - 1.0
