"""JSON Schemas of both settings files, for completion and validation in an editor.

A file may leave out what another layer gives, so nothing is required here: whether a value is missing shows
only once all layers lie over one another, which is the loader's task.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from pipeline.settings.model import Environment, PipelineSettings, Project

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, str]:
    """File name -> text of each schema, as it stands in docs/reference/schemas."""
    return {
        "pipeline.schema.json": _text(project_schema()),
        "settings.schema.json": _text(settings_schema()),
    }


def project_schema() -> dict[str, Any]:
    """The schema of pipeline.toml."""
    environment, definitions = _partial(Environment)
    project, more = _partial(Project)
    definitions.update(more)
    project["required"] = ["name"]
    definitions |= {"Project": project, "Environment": environment}
    return {
        "$schema": _DRAFT,
        "title": "pipeline.toml",
        "description": "The project and its environments",
        "type": "object",
        "additionalProperties": False,
        "required": ["project", "environments"],
        "properties": {
            "project": {"$ref": "#/$defs/Project"},
            "defaults": {"$ref": "#/$defs/Environment", "description": "lies under every environment"},
            "environments": {
                "description": "one table an environment, laid over [defaults]",
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {"$ref": "#/$defs/Environment"},
            },
        },
        "$defs": dict(sorted(definitions.items())),
    }


def settings_schema() -> dict[str, Any]:
    """The schema of a pipeline's settings.toml."""
    base, definitions = _partial(PipelineSettings)
    overlay = {**base, "description": "what differs in one environment, merged over the file's other tables"}
    definitions["Overlay"] = overlay
    return {
        "$schema": _DRAFT,
        **base,
        "title": "settings.toml",
        "properties": {
            **base["properties"],
            "environments": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Overlay"}},
        },
        "$defs": dict(sorted(definitions.items())),
    }


def _partial(model: type[BaseModel]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A model's schema without what it requires, and its definitions likewise, apart."""
    schema = model.model_json_schema()
    definitions: dict[str, Any] = schema.pop("$defs", {})
    for each in (schema, *definitions.values()):
        each.pop("required", None)
    return schema, definitions


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
