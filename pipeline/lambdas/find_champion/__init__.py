"""Finds the model that serves and the evaluation it was registered with."""
