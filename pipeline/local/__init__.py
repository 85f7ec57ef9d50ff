"""The local target: an AWS endpoint on 127.0.0.1 that runs what is deployed to it, for real.

Nothing outside this folder imports more of it than these names, and only the command line does.
"""

from pipeline.local.lifecycle import LocalTarget, Status, about, down, ensure_up, reset, status

__all__ = ["LocalTarget", "Status", "about", "down", "ensure_up", "reset", "status"]
