"""Lambda: why a build of the image failed, in words."""
