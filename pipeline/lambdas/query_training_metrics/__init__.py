"""Reads a training job's final metrics by their names."""
