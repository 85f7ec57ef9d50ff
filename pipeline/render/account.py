"""The template of what all pipelines of an account share: account.yaml, and a repository a container."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pipeline.errors import DefinitionError
from pipeline.names import Names

if TYPE_CHECKING:
    from pipeline.settings.model import Settings

FILE = Path("cloudformation") / "account.yaml"
# The repository in account.yaml that stands for one per folder of container/.
PROTOTYPE = "Repository"


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
    """The account's template as data, with one image repository per folder of `container/`.

    Parameters keep their defaults where settings do not decide them; `Project` is the project's name.
    """
    file = Path(settings.root) / FILE
    if not file.is_file():
        raise DefinitionError("the account's template is missing", where=FILE.as_posix())
    template: dict[str, Any] = yaml.load(file.read_text(), Loader=_Loader)
    template["Parameters"]["Project"]["Default"] = Names.of(settings).project
    resources = template["Resources"]
    prototype = resources.pop(PROTOTYPE)
    for name in containers(Path(settings.root)):
        properties = {
            **prototype["Properties"],
            "RepositoryName": {"Fn::Sub": f"${{Project}}/{name}"},
        }
        logical = "".join(part.title() for part in name.split("_"))
        resources[f"{logical}Repository"] = {**prototype, "Properties": properties}
    return template


def containers(root: Path) -> list[str]:
    """Folders of `container/` that have a Dockerfile, sorted."""
    return sorted(path.parent.name for path in (root / "container").glob("*/Dockerfile"))
