"""Carrying out a plan: stacks through change sets, code by content, the image by digest."""

from __future__ import annotations

from pipeline.apply.run import Applied, apply

__all__ = ["Applied", "apply"]
