"""Run in the container's venv: the parts that are sums and formats, each check by itself; outcomes as JSON.

python maths.py SAMPLE
"""

from __future__ import annotations

import importlib.util
import io
import json
import math
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mask_rcnn_program import coco, data, fitting, formats, images, network, operators
from mask_rcnn_program.model import Found
from PIL import Image, PngImagePlugin

SAMPLE = Path(sys.argv[1])
MAKE_SAMPLE = (
    Path(__file__).resolve().parents[3] / "pipeline" / "definitions" / "mask_rcnn" / "make_sample.py"
)


def check_roi_align_is_torchvisions() -> None:
    """Beside torchvision's own definition, uncompiled, for boxes cut to the image as the network's are."""
    torch.manual_seed(0)
    theirs = sys.modules["torchvision.ops.roi_align"]._roi_align.__wrapped__  # type: ignore[attr-defined]
    planes = torch.randn(2, 5, 20, 24)
    corners = torch.rand(40, 2) * 70 - 5
    sizes = torch.rand(40, 2) * 40 + 0.5
    which = (torch.arange(40) % 2)[:, None].to(torch.float32)
    edge = torch.tensor([96.0, 80.0])
    rois = torch.cat([which, corners.clamp(min=0).minimum(edge - 1), (corners + sizes).minimum(edge)], dim=1)
    rois[:, 3:] = rois[:, 3:].maximum(rois[:, 1:3] + 0.5)
    for aligned in (False, True):
        ours = operators.roi_align(planes, rois, 0.25, 7, 6, 2, aligned)
        wanted = theirs(planes, rois, 0.25, 7, 6, 2, aligned)
        assert (ours - wanted).abs().max() < 2e-5
    # Where there is no image there is nothing, as in torchvision's compiled operator.
    beyond = torch.tensor([[0.0, 200.0, 200.0, 240.0, 240.0]])
    assert (operators.roi_align(planes, beyond, 0.25, 7, 6, 2, False) == 0).all()


def check_roi_align_has_torchvisions_derivative() -> None:
    torch.manual_seed(1)
    theirs = sys.modules["torchvision.ops.roi_align"]._roi_align.__wrapped__  # type: ignore[attr-defined]
    rois = torch.tensor([[0.0, 3.0, 2.0, 30.0, 25.0], [0.0, 10.0, 12.0, 50.0, 61.0]])
    found = []
    for function in (operators.roi_align, theirs):
        planes = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(2), requires_grad=True)
        (function(planes, rois, 0.25, 7, 7, 2, False) ** 2).sum().backward()
        found.append(planes.grad)
    assert (found[0] - found[1]).abs().max() < 1e-4


def check_nms_keeps_what_nothing_better_overlaps() -> None:
    torch.manual_seed(2)
    corners = torch.rand(200, 2) * 50
    boxes = torch.cat([corners, corners + torch.rand(200, 2) * 20 + 1], dim=1)
    scores = torch.rand(200)
    wanted: list[int] = []
    for one in scores.argsort(descending=True).tolist():
        if all(_overlap(boxes[one], boxes[other]) <= 0.5 for other in wanted):
            wanted.append(one)
    assert operators.nms(boxes, scores, 0.5).tolist() == wanted
    assert operators.nms(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []


def _overlap(one: torch.Tensor, other: torch.Tensor) -> float:
    low, high = torch.maximum(one[:2], other[:2]), torch.minimum(one[2:], other[2:])
    both = float((high - low).clamp(min=0).prod())
    areas = [float((each[2] - each[0]) * (each[3] - each[1])) for each in (one, other)]
    return both / (sum(areas) - both)


def check_rle_is_cocos() -> None:
    """Uncompressed by the definition of COCO: runs of zeros and ones, column by column."""
    from pycocotools import mask as tools

    mask = np.zeros((5, 7), dtype=bool)
    mask[1:3, 2:6] = True
    mask[4, 0] = True
    runs, last = [0], False
    for pixel in mask.flatten(order="F"):
        if pixel != last:
            runs, last = [*runs, 0], bool(pixel)
        runs[-1] += 1
    told = coco.encode(mask)
    assert told["size"] == [5, 7]
    assert told["counts"] == tools.frPyObjects({"size": [5, 7], "counts": runs}, 5, 7)["counts"].decode()
    assert (coco.decode(told) == mask).all()
    assert json.loads(json.dumps(told)) == told


def _squares(places: list[tuple[int, int]], side: int = 10) -> data.Objects:
    numbers = np.zeros((64, 64), dtype=np.int64)
    for number, (row, column) in enumerate(places, start=1):
        numbers[row : row + side, column : column + side] = number
    return data.objects(numbers, {}, 1)


def _found(objects: data.Objects, scores: list[float]) -> Found:
    kept = len(scores)
    return Found(
        objects.masks[:kept], objects.boxes[:kept], objects.classes[:kept], np.array(scores, np.float32)
    )


def check_ap_of_known_predictions() -> None:
    truth = [_squares([(2, 2), (30, 30)]), _squares([(5, 40)])]
    right = coco.Comparison(truth, [_found(truth[0], [0.9, 0.8]), _found(truth[1], [0.7])], 2)
    assert math.isclose(right.precision().ap, 1)
    assert math.isclose(right.precision().ap50, 1)
    assert [coco.f1(one) for one in right.counts()] == [1, 1]
    # One of three is never found: precision 1 up to a recall of 2/3, 67 of COCO's 101 steps.
    missed = coco.Comparison(truth, [_found(truth[0], [0.9]), _found(truth[1], [0.7])], 2)
    assert math.isclose(missed.precision().ap50, 67 / 101, abs_tol=1e-9)
    assert missed.counts() == [(1, 1, 0), (1, 0, 0)]
    # Two columns off of ten: an overlap of 80 in 120 counts at 0.5 to 0.65, and no more.
    shifted = coco.Comparison([_squares([(20, 20)])], [_found(_squares([(20, 22)]), [0.9])], 2)
    assert math.isclose(shifted.precision().ap50, 1)
    assert shifted.precision().ap75 == 0
    assert math.isclose(shifted.precision().ap, 0.4)
    nothing = coco.Comparison(truth, [_found(truth[0], []), _found(truth[1], [])], 2)
    assert nothing.precision().ap == 0
    assert nothing.deviations() == (0, 0, 0)


def check_turning_moves_boxes_with_their_masks() -> None:
    objects = _squares([(2, 5), (30, 40)])
    planes = np.zeros((3, 64, 48), dtype=np.float32)
    cut = data.Objects(objects.masks[:, :, :48], objects.boxes.clip(0, 48), objects.classes)
    planes[:, cut.masks.any(axis=0)] = 1
    seen = set()
    for how in range(8):
        laid, moved = data.turned(planes, cut, how)
        assert (laid[0].astype(bool) == moved.masks.any(axis=0)).all()
        for mask, box in zip(moved.masks, moved.boxes, strict=True):
            rows, columns = mask.nonzero()
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        seen.add(laid.tobytes() + bytes(str(laid.shape), "ascii"))
    assert len(seen) == 8


def _png(pixels: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format=options.pop("format", "PNG"), **options)
    return out.getvalue()


def check_a_pixel_is_one_number_in_every_format() -> None:
    grey = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32) * 61
    wanted = np.repeat((grey.astype(np.float32) / 65535)[None], 3, axis=0)
    npy = io.BytesIO()
    np.save(npy, grey)
    assert (images.decode(_png(grey), images.PNG) == wanted).all()
    assert (images.decode(npy.getvalue(), images.NPY) == wanted).all()
    colours = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    assert (
        images.decode(_png(colours), images.PNG) == colours.transpose(2, 0, 1).astype(np.float32) / 255
    ).all()
    flat = np.full((16, 16, 3), (200, 100, 50), dtype=np.uint8)
    seen = images.decode(_png(flat, format="JPEG", quality=95), images.JPEG)
    assert np.abs(seen[:, 8, 8] * 255 - (200, 100, 50)).max() < 4


def check_what_is_no_image_is_refused() -> None:
    def npy(array: Any) -> bytes:
        out = io.BytesIO()
        np.save(out, array, allow_pickle=True)
        return out.getvalue()

    noise = np.random.default_rng(1).integers(0, 256, (32, 32)).astype(np.uint8)
    clear = np.full((20, 20, 4), 128, dtype=np.uint8)
    for content, kind, told in (
        (b"not an image", images.PNG, "not a whole image/png image"),
        (_png(noise)[:700], images.PNG, "not a whole image/png image"),
        (_png(np.zeros((32, 32), np.uint8)), images.JPEG, "not a whole image/jpeg image"),
        (_png(clear), images.PNG, "transparent"),
        (_png(np.zeros((8, 32), np.uint8)), images.PNG, "32 x 8 pixels; at least 16 x 16"),
        (npy(np.zeros((5000, 5000), np.uint8)), images.NPY, "at most"),
        (npy(np.zeros((32, 32), np.int64)), images.NPY, "numbers of type int64"),
        (npy(np.full((32, 32), np.nan)), images.NPY, "numbers outside 0 to 1"),
        (npy(np.zeros((2, 32, 32, 3), np.uint8)), images.NPY, "an array of shape (2, 32, 32, 3)"),
        (npy(np.array([[{}] * 20] * 20)), images.NPY, "an array of shape"),
    ):
        try:
            images.decode(content, kind)
        except images.NotAnImage as error:
            assert told in str(error), (told, str(error))
        else:
            raise AssertionError(told)


def check_json_and_png_tell_the_same() -> None:
    objects = _squares([(2, 2), (20, 20), (40, 40)])
    # The second reaches four by four pixels into the first.
    objects.masks[1] = np.roll(objects.masks[1], (-12, -12), axis=(0, 1))
    found = Found(objects.masks, objects.boxes, objects.classes, np.array([0.9, 0.6, 0.01], np.float32))
    body = json.loads(formats.write_json(found, ["background", "nucleus"], (64, 64)))
    # The third is below the least score.
    assert [one["label"] for one in body["instances"]] == ["nucleus", "nucleus"]
    assert body["instances"][0]["box"] == [2, 2, 10, 10]
    with PngImagePlugin.PngImageFile(
        io.BytesIO(formats.write_png(found, ["background", "nucleus"], (64, 64)))
    ) as png:
        pixels, told = np.asarray(png), json.loads(png.text[formats.CHUNK])
    assert told == [{key: one[key] for key in one if key != "segmentation"} for one in body["instances"]]
    assert (pixels == 1).sum() == 100, "the surer one lies on top"
    assert (pixels == 2).sum() == 100 - 16
    assert (coco.decode(body["instances"][1]["segmentation"]) == objects.masks[1]).all()


def check_the_learning_rate_rises_then_falls() -> None:
    values = {"learning_rate": 0.002, "warmup_epochs": 1.0, "num_epochs": 20}
    rates = [fitting.learning_rate(values, step / 9) for step in range(20 * 9)]
    top = rates.index(max(rates))
    assert math.isclose(max(rates), 0.002)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] < 0.0001


def check_the_network_is_as_small_as_it_says() -> None:
    assert 1_000_000 < network.weights(network.build(2, [0.1] * 3, [0.1] * 3)) < 1_500_000


def check_no_held_out_pixel_is_in_a_training_tile() -> None:
    spec = importlib.util.spec_from_file_location("make_sample", MAKE_SAMPLE)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    places = made.places()
    seen = np.zeros((made.SIDE, made.SIDE), dtype=int)
    for row, column in places["train"]:
        seen[row : row + made.TILE, column : column + made.TILE] |= 1
    for row, column in places["test"]:
        assert not (seen[row : row + made.TILE, column : column + made.TILE] & 3).any()
        seen[row : row + made.TILE, column : column + made.TILE] |= 2
    assert (seen > 0).all(), "every pixel is in one or the other"
    pixels = np.arange(40 * 30, dtype=np.uint16).reshape(40, 30) * 50
    assert (np.asarray(Image.open(io.BytesIO(made.png(pixels)))) == pixels).all()
    numbers = np.zeros((32, 32), dtype=np.uint16)
    numbers[:10, :10], numbers[20:22, 20:22], numbers[20:, :10] = 7, 9, 12
    assert [int((made.objects(numbers) == one).sum()) for one in (1, 2, 3)] == [100, 120, 0]


def check_the_sample_is_as_its_readme_says() -> None:
    for channel, tiles in (("train", 35), ("test", 4)):
        opened = data.open_channel(SAMPLE / channel, channel, 2, 1)
        assert len(opened.samples) == tiles
        assert opened.names == {"1": "nucleus"}
        assert all(one.planes().shape == (3, 128, 128) for one in opened.samples)
    assert opened.counts == {1: 32}


if __name__ == "__main__":
    network.operators.install()
    outcomes = {}
    for name, function in [item for item in globals().items() if item[0].startswith("check_")]:
        try:
            function()
            outcomes[name] = ""
        except Exception:  # noqa: BLE001  each check is told by itself
            outcomes[name] = traceback.format_exc()
    print(json.dumps(outcomes))
