"""Seam: how MiniStack's modules are imported. Unneeded ones wait until they are used.

CloudFormation imports every service it can provision, 1.2 s of them, for a dozen types that we offer.
"""

from __future__ import annotations

import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

# Imported by the modules we use, and used by none of what we offer. No packages: `from package.part import x`
# of a package that waits runs it in the midst of the import, and `part` is then loaded twice, with classes
# that are not each other's.
LAZY = frozenset(
    "ministack.services." + name
    for name in (
        "acm",
        "alb",
        "apigateway",
        "apigateway_v1",
        "appconfig",
        "appsync",
        "athena",
        "autoscaling",
        "backup",
        "batch",
        "cloudfront",
        "codebuild",
        "cognito",
        "documentdb",
        "ec2",
        "ecs",
        "efs",
        "eks",
        "elasticache",
        "emr",
        "firehose",
        "glue",
        "iot",
        "kinesis",
        "kinesisanalyticsv2",
        "location",
        "mediaconnect",
        "opensearch",
        "pipes",
        "rds",
        "route53",
        "s3tables",
        "servicediscovery",
        "ses",
        "ses_v2",
        "signer",
        "transfer",
        "waf",
    )
)

_after: dict[str, list[Callable[[ModuleType], None]]] = defaultdict(list)


def after(name: str, hook: Callable[[ModuleType], None]) -> None:
    """Call `hook(module)` once the module is imported; now, if it is already."""
    module = sys.modules.get(name)
    if module is not None:
        hook(module)
    else:
        _after[name].append(hook)


def install() -> None:
    """Put our finder first."""
    sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in LAZY and fullname not in _after:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        if fullname in _after:
            spec.loader = _Hooked(spec.loader, _after.pop(fullname))
        if fullname in LAZY:
            spec.loader = _Late(spec.loader)
        return spec


class _Late(Loader):
    """Executes a module at the first use of what is in it, once, whichever thread comes first.

    importlib's LazyLoader does the same, but before 3.11.9 and 3.12.3 a second thread sees the module half
    made (https://github.com/python/cpython/issues/114763): two first requests at once, and one was a 500.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        module.__spec__.loader_state = _Waiting()
        module.__class__ = _LateModule


@dataclass
class _Waiting:
    """A module that is not executed yet; `loading` by the thread that holds the lock."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    loading: bool = False


class _LateModule(ModuleType):
    def __getattribute__(self, name: str) -> Any:
        # The import system asks for the spec at each further `import`; that is no use of the module.
        spec = object.__getattribute__(self, "__spec__")
        if name == "__spec__":
            return spec
        waiting: _Waiting = spec.loader_state
        with waiting.lock:
            if object.__getattribute__(self, "__class__") is _LateModule and not waiting.loading:
                waiting.loading = True
                try:
                    spec.loader.exec_module(self)
                    self.__class__ = ModuleType  # type: ignore[assignment]
                finally:
                    waiting.loading = False
            return object.__getattribute__(self, name)


class _Hooked(Loader):
    """The module's own loader, and our hooks after it."""

    def __init__(self, loader: Loader, hooks: list[Callable[[ModuleType], None]]) -> None:
        self._loader = loader
        self._hooks = hooks

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        for hook in self._hooks:
            hook(module)
