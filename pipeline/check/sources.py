"""From a place in a rendered document back to the file and line that a user would change."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from pipeline.check.rule import Hit, show
from pipeline.settings import toml_file
from pipeline.settings.loader import DEFINITIONS, SETTINGS_FILE
from pipeline.settings.workflow import GivenWorkflow


@dataclass
class Sources:
    """Where the parts of one pipeline are written. Paths are relative to `root`, with slashes."""

    root: FilePath
    name: str
    # The workflow's own file, where it is not the definition's.
    given: GivenWorkflow | None = None
    _texts: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The user's room."""
        return (DEFINITIONS / self.name).as_posix()

    def locate(self, hit: Hit) -> tuple[str, int | None]:
        """File and line of a hit; the line is None where it is not known."""
        if hit.part == "file":
            file, line = (*hit.path, None)[:2]
            return str(file), line if isinstance(line, int) else None
        if hit.part == "settings":
            return self._setting(hit)
        if hit.part == "asl":
            return self._state(hit)
        return self._resource(hit)

    def place(self, hit: Hit) -> str:
        """What a user reads: the path inside the document."""
        if hit.part == "file":
            return str(hit.path[0])
        return (
            show(hit.path) or {"asl": "definition", "template": "template", "settings": "settings"}[hit.part]
        )

    def _setting(self, hit: Hit) -> tuple[str, int | None]:
        label = f"{self.folder}/{SETTINGS_FILE}"
        path = self.root / label
        return label, toml_file.read(path, label).line(hit.path) if path.is_file() else None

    def _state(self, hit: Hit) -> tuple[str, int | None]:
        if self.given is not None:
            # statelint leaves the first step out where it speaks of a state as such.
            inside = hit.path if hit.path[:1] == ("States",) else ("States", *hit.path)
            return self.given.label, self.given.line(inside)
        names = [hit.path[i + 1] for i, part in enumerate(hit.path[:-1]) if part == "States"]
        for name in reversed(names):
            # The user's own definition first, then the blocks it is built of.
            for where in (self.folder, "pipeline/steps"):
                found = self._search(where, rf"[\"']{re.escape(str(name))}[\"']")
                if found:
                    return found
        return f"{self.folder}/definition.py", None

    def _resource(self, hit: Hit) -> tuple[str, int | None]:
        if self.given is not None and hit.path[1:2] == ("StateMachine",):
            if hit.path[2:4] == ("Properties", "DefinitionString"):
                return self.given.label, self.given.line(hit.path[4:])
            if hit.path[2:4] == ("Properties", "DefinitionSubstitutions"):
                return self.given.label, self.given.line_of(f"${{{hit.path[4] if hit.path[4:] else ''}")
        logical = re.escape(str(hit.path[1])) if len(hit.path) > 1 else "$^"
        for where, pattern in (
            ("cloudformation", rf"^\s+{logical}:"),
            ("pipeline/render", rf"[\"']{logical}[\"']"),
        ):
            found = self._search(where, pattern)
            if found:
                return found
        # What the renderer makes for each function is written nowhere; the function is.
        for handler in sorted((self.root / "pipeline/lambdas").glob("*/handler.py")):
            camel = "".join(part.title() for part in handler.parent.name.split("_"))
            if len(hit.path) > 1 and str(hit.path[1]).startswith(camel):
                return handler.relative_to(self.root).as_posix(), None
        if not (self.root / self.folder).is_dir():
            return "cloudformation/account.yaml", None
        return f"{self.folder}/definition.py", None

    def _search(self, folder: str, pattern: str) -> tuple[str, int] | None:
        expression = re.compile(pattern, re.M)
        for label, text in self._read(folder):
            match = expression.search(text)
            if match:
                return label, text.count("\n", 0, match.end()) + 1
        return None

    def _read(self, folder: str) -> list[tuple[str, str]]:
        if folder not in self._texts:
            paths = sorted(p for p in (self.root / folder).glob("*") if p.suffix in (".py", ".yaml"))
            self._texts[folder] = [
                (p.relative_to(self.root).as_posix(), p.read_text(errors="replace")) for p in paths
            ]
        return self._texts[folder]
