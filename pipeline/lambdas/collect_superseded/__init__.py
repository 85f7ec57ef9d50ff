"""Deletes endpoint configs and models that a newer deployment has replaced."""
