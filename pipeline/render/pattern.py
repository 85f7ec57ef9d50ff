"""Resources of a template as a pattern: copied under a prefix, with words filled in. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

# The value of a word whose place goes too: the list's item, the mapping's key, the policy's statement.
DROP: Final = object()
_SUBSTITUTION = re.compile(r"\$\{([\w:]+)((?:\.\w+)?)\}")
_WORD = re.compile(r"(?<![A-Z_])[A-Z][A-Z_]+(?![A-Z_])")


@dataclass(frozen=True)
class Pattern:
    """Resources by logical id; those in `repeated` are copied, and references to them follow."""

    resources: Mapping[str, Any]
    repeated: frozenset[str]

    def made(self, names: Iterable[str], prefix: str, words: Mapping[str, Any]) -> dict[str, Any]:
        """Copies of `names`, each called `<prefix><name>`, in the pattern's order.

        Args:
            words: what to put for a word in capitals, or for a `${...}`: a text inside any text, another
                value where the word is all of the text (a list's items into the list it stands in), or DROP.
        """
        wanted = set(names)
        filler = _Filler(prefix, self.repeated, words)
        return {f"{prefix}{name}": filler.fill(it) for name, it in self.resources.items() if name in wanted}


@dataclass(frozen=True)
class _Filler:
    prefix: str
    repeated: frozenset[str]
    words: Mapping[str, Any]

    def fill(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return self._items(value)
        if isinstance(value, dict):
            return self._mapping(value)
        return value

    def _text(self, text: str) -> Any:
        if text in self.words:
            return self.words[text]
        return _WORD.sub(self._word, text)

    def _word(self, found: re.Match[str]) -> str:
        given = self.words.get(found[0])
        return given if isinstance(given, str) else found[0]

    def _items(self, items: list[Any]) -> list[Any]:
        found: list[Any] = []
        for item in items:
            filled = self.fill(item)
            if filled is DROP:
                continue
            spliced = isinstance(item, str) and isinstance(filled, list)
            found += filled if spliced else [filled]
        return found

    def _mapping(self, mapping: dict[str, Any]) -> Any:
        if len(mapping) == 1:
            ((key, value),) = mapping.items()
            if key == "Ref":
                return {key: self._name(value)}
            if key == "Fn::GetAtt":
                return {key: [self._name(value[0]), *value[1:]]}
            if key == "Fn::Sub" and isinstance(value, str):
                named = _SUBSTITUTION.sub(self._known, value)
                text = self._text(named)
                return {key: text} if "${" in text else text
        filled = {key: self.fill(value) for key, value in mapping.items()}
        kept = {key: value for key, value in filled.items() if value is not DROP}
        # A statement without its resource or principal would say something else, an empty mapping nothing.
        lost = len(kept) < len(filled)
        return DROP if lost and ("Effect" in mapping or not kept) else kept

    def _known(self, found: re.Match[str]) -> str:
        """What `${...}` stands for: known here, or a resource under its new name."""
        known = self.words.get(found[0])
        return known if isinstance(known, str) else f"${{{self._name(found[1])}{found[2]}}}"

    def _name(self, logical: str) -> str:
        return f"{self.prefix}{logical}" if logical in self.repeated else logical
