"""Sends a fresh deployment its first request."""
