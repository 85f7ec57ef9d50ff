"""The network: torchvision's Mask R-CNN around a backbone small enough to learn from nothing on a CPU.

Four stages of convolutions (24, 48, 96, 128 channels at 1/2, 1/4, 1/8 and 1/16 of the image) with a pyramid
of 64 channels; 1.1 million weights. No pretrained weights are fetched: a training job has no network. Images
go through at their own size: nothing is resized, in training or in serving.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from . import PLANES, operators

operators.install()

from torchvision.models.detection import MaskRCNN  # noqa: E402
from torchvision.models.detection.anchor_utils import AnchorGenerator  # noqa: E402
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead  # noqa: E402
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor  # noqa: E402
from torchvision.models.detection.transform import GeneralizedRCNNTransform  # noqa: E402
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign  # noqa: E402

CHANNELS = (24, 48, 96, 128)
PYRAMID = 64
# Objects of so many pixels across, one size a level of the pyramid.
ANCHORS = (12, 24, 40, 64)
# Proposals of an image of 128 x 128: before and after overlapping ones are dropped.
BEFORE, AFTER = 200, 100
DETECTIONS = 100
# The area for which these numbers are meant.
AREA = 128 * 128


class Backbone(nn.Module):
    """Four stages and the pyramid over them: {"0": (n, 64, h / 2, w / 2), ..., "3": (n, 64, h / 16, ...)}."""

    out_channels = PYRAMID

    def __init__(self) -> None:
        super().__init__()
        widths = (PLANES, *CHANNELS)
        self.stages = nn.ModuleList(
            nn.Sequential(_block(before, after, 2), _block(after, after, 1))
            for before, after in pairwise(widths)
        )
        self.pyramid = FeaturePyramidNetwork(list(CHANNELS), PYRAMID)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        levels: OrderedDict[str, torch.Tensor] = OrderedDict()
        for number, stage in enumerate(self.stages):
            images = stage(images)
            levels[str(number)] = images
        return self.pyramid(levels)


def _block(before: int, after: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class AsTheyAre(GeneralizedRCNNTransform):
    """Normalises; resizes nothing."""

    def resize(self, image: torch.Tensor, target: Any = None) -> Any:
        return image, target


def build(num_classes: int, mean: Sequence[float], deviation: Sequence[float]) -> Any:
    """An untrained network. mean, deviation: of each plane of the training images."""
    levels = [str(number) for number in range(len(CHANNELS))]
    network = MaskRCNN(
        Backbone(),
        rpn_anchor_generator=AnchorGenerator(
            tuple((size,) for size in ANCHORS), ((0.5, 1.0, 2.0),) * len(levels)
        ),
        rpn_pre_nms_top_n_train=BEFORE,
        rpn_pre_nms_top_n_test=BEFORE,
        rpn_post_nms_top_n_train=AFTER,
        rpn_post_nms_top_n_test=AFTER,
        rpn_batch_size_per_image=128,
        box_roi_pool=MultiScaleRoIAlign(levels, 7, 2),
        box_head=TwoMLPHead(PYRAMID * 7 * 7, 192),
        box_predictor=FastRCNNPredictor(192, num_classes),
        box_batch_size_per_image=64,
        box_detections_per_img=DETECTIONS,
        mask_roi_pool=MultiScaleRoIAlign(levels, 14, 2),
        mask_head=MaskRCNNHeads(PYRAMID, (64, 64), 1),
        mask_predictor=MaskRCNNPredictor(64, 64, num_classes),
    )
    network.transform = AsTheyAre(1, 1, list(mean), list(deviation))
    return network


def allow_for(network: Any, area: int) -> None:
    """Let an image of `area` pixels have as many objects, for its size, as one of 128 x 128."""
    times = max(1.0, area / AREA)
    network.rpn._pre_nms_top_n["testing"] = round(BEFORE * times)
    network.rpn._post_nms_top_n["testing"] = round(AFTER * times)
    network.roi_heads.detections_per_img = round(DETECTIONS * times)


def weights(network: nn.Module) -> int:
    """How many numbers are learnt."""
    return sum(one.numel() for one in network.parameters())
