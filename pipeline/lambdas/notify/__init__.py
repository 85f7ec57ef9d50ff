"""Tells Slack what happened to a run."""
