"""Settings as a definition sees them: the settings' JSON, read by attribute."""

from __future__ import annotations

import json
from typing import Any


class Settings(dict[str, Any]):
    """`settings.environment.training.instance_type`; tables with free keys are used as dictionaries.

    A definition must not change what was validated, hence read-only.
    """

    def __getattr__(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError:
            raise AttributeError(f"no setting {key!r}; there are: {', '.join(sorted(self))}") from None

    def __setitem__(self, key: str, value: Any) -> None:
        raise TypeError(f"settings are read-only; set {key!r} in settings.toml")

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value


def loads(text: str) -> Settings:
    """Settings from their JSON."""
    settings: Settings = json.loads(text, object_hook=Settings)
    return settings
