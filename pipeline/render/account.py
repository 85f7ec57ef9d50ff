"""The template of one account: account.yaml, repeated for its containers and its environments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pipeline.errors import DefinitionError
from pipeline.names import Names
from pipeline.render import access
from pipeline.render.pattern import Pattern

if TYPE_CHECKING:
    from pipeline.settings.model import Settings

FILE = Path("cloudformation") / "account.yaml"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML with CloudFormation's short forms: `!Ref X`, `!Sub X`, `!GetAtt X.Y`."""


def _short_form(loader: Any, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _short_form)


def account(settings: Settings) -> dict[str, Any]:
    """The template of the account and region that `settings` are in, as data.

    It is the same for all pipelines of the account: it is rendered from pipeline.toml and from what the
    pipelines' settings say of their data.

    Raises:
        DefinitionError: account.yaml is missing, or the names of two environments cannot be kept apart.
    """
    root = Path(settings.root)
    file = root / FILE
    if not file.is_file():
        raise DefinitionError("the account's template is missing", where=FILE.as_posix())
    template: dict[str, Any] = yaml.load(file.read_text(), Loader=_Loader)
    template["Parameters"]["Project"]["Default"] = Names.of(settings).project
    lists = template.pop("Metadata")
    here = access.Account.of(settings)
    per_container, per_environment = set(lists["PerContainer"]), set(lists["PerEnvironment"])
    pattern = Pattern(template["Resources"], frozenset(per_container | per_environment))

    def there(names: set[str], parts: frozenset[str]) -> set[str]:
        """Of `names`, what the settings ask for."""
        absent = {name for part, its in lists["Only"].items() if part not in parts for name in its}
        return names - absent

    once = set(template["Resources"]) - per_container - per_environment
    resources = pattern.made(there(once, here.parts), "", here.words())
    for container in containers(root):
        words = {"CONTAINER": container}
        resources |= pattern.made(per_container, _logical(container, "_"), words)
    for place in here.environments():
        names = there(per_environment, place.parts)
        resources |= pattern.made(names, _logical(place.name, "-"), place.words())
    return {**template, "Resources": resources}


def _logical(name: str, separator: str) -> str:
    """`pre-production` -> `PreProduction`, as logical ids begin with it."""
    return "".join(part.title() for part in name.split(separator))


def containers(root: Path) -> list[str]:
    """Folders of `container/` that have a Dockerfile, sorted."""
    return sorted(path.parent.name for path in (root / "container").glob("*/Dockerfile"))
