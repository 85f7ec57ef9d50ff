"""Lambda: a build of the image, started and looked at."""
