"""Rules over settings, definition and template, before anything moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.check.rule import Finding
    from pipeline.settings.model import Settings


def check(settings: Settings) -> list[Finding]:
    """Every finding about one pipeline in one environment, errors first; cached by content."""
    from pipeline.check.runner import check as run

    return run(settings).findings


def rules_page() -> str:
    """The reference page of all rules, in Markdown."""
    from pipeline.check.registry import rules_page as page

    return page()


__all__ = ["check", "rules_page"]
