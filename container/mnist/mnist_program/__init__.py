"""What training, evaluation and serving of mnist agree on.

An image is 28 x 28 pixels from 0 (paper) to 255 (ink), row by row from the upper left. Classes: digits.
"""

CLASSES = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
SIDE = 28
PIXELS = SIDE * SIDE
LEVELS = 256
