"""Finds models and jobs that were made of the same already."""
