"""The one place where AWS clients are made; nothing above it knows which target answers."""

from __future__ import annotations

from pipeline.aws.clients import Clients, Credentials, Target, connect

__all__ = ["Clients", "Credentials", "Target", "connect"]
