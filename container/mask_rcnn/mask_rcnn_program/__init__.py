"""What training, evaluation and serving of mask_rcnn agree on.

An image is (3, height, width) of float32 from 0 to 1; grey ones have three equal planes. An object's class
counts from 1; 0 is the background, as in torchvision.
"""

PLANES = 3
# What an endpoint calls the classes, unless the data names them (classes.json beside images/ and masks/).
BACKGROUND = "background"


def class_names(given: dict[str, str], count: int) -> list[str]:
    """Names of the classes 0 to count - 1; those not `given` ({"1": "nucleus"}) are numbered."""
    return [BACKGROUND, *(given.get(str(number), f"class {number}") for number in range(1, count))]
