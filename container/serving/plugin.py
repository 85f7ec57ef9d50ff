"""A user's `inference.py`: found, checked, its functions bound into one call from body to answer."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from . import compat, content
from .context import Context
from .errors import LoadError
from .negotiation import media_type

TEXT_TYPES = (content.CSV, content.JSON)


class Result(NamedTuple):
    """What the user's functions made of a request; headers is None when there are none of theirs."""

    body: bytes
    content_type: str
    status: int = 200
    headers: Mapping[str, str] | None = None


class Plugin:
    """The user's functions around a loaded model. Made by `load`.

    Calls must not overlap: scripts are written for a server that has one request at a time in a process.
    """

    def __init__(self, module: Any, model_dir: Path, default_accept: str) -> None:
        self.model_dir = str(model_dir)
        self.default_accept = default_accept
        transform = getattr(module, "transform_fn", None)
        parts = [getattr(module, name, None) for name in ("input_fn", "predict_fn", "output_fn")]
        if transform and any(parts):
            raise LoadError("inference.py has transform_fn together with input_fn, predict_fn or output_fn")
        if not transform and not parts[1]:
            raise LoadError("inference.py has neither predict_fn nor transform_fn")
        self._transform = _bound(transform, 4) if transform else None
        self._input = _bound(parts[0] or content.decode, 2)
        self._predict = _bound(parts[1], 2) if parts[1] else None
        self._output = _bound(parts[2] or content.encode, 2)
        used = [(transform, 4)] if transform else list(zip(parts, (2, 2, 2), strict=True))
        self._needs_context = any(_takes_context(function, count) for function, count in used if function)
        self.model: Any = None
        self._text: dict[str | None, bool] = {None: False}
        # Last: it takes the time and the memory.
        start = Context(self.model_dir, {})
        for name in ("pre_model_fn", "model_fn", "model_warmup_fn"):
            function = getattr(module, name, None)
            if function is None and name == "model_fn":
                raise LoadError("inference.py has no model_fn")
            if function is not None:
                given = (self.model_dir, self.model) if name == "model_warmup_fn" else (self.model_dir,)
                made = _bound(function, len(given))(*given, start)
                if name == "model_fn":
                    self.model = made

    def answer(
        self, body: bytes, content_type: str | None, accept: str | None, headers: Mapping[bytes, bytes]
    ) -> Result:
        """One request through the user's functions. Raises what they raise."""
        context = Context(self.model_dir, headers) if self._needs_context else None
        if not accept or accept == "*/*":
            accept = self.default_accept
        data = self._received(body, content_type)
        if self._transform is not None:
            made = self._transform(self.model, data, content_type, accept, context)
        else:
            assert self._predict is not None
            made = self._output(
                self._predict(self._input(data, content_type, context), self.model, context), accept, context
            )
        return _result(made, accept, context)

    @property
    def can_batch(self) -> bool:
        """Whether requests can be predicted together: the three functions, none with a context of its own."""
        return self._transform is None and not self._needs_context

    def decode(self, body: bytes, content_type: str | None) -> Any:
        """input_fn alone, for batches."""
        return self._input(self._received(body, content_type), content_type, None)

    def predict(self, data: Any) -> Any:
        """predict_fn alone, for batches."""
        assert self._predict is not None
        return self._predict(data, self.model, None)

    def encode(self, prediction: Any, accept: str | None) -> Result:
        """output_fn alone, for batches."""
        wanted = accept if accept and accept != "*/*" else self.default_accept
        return _result(self._output(prediction, wanted, None), wanted, None)

    def _received(self, body: bytes, content_type: str | None) -> str | bytes:
        """Text where the toolkit gives text, else the bytes."""
        text = self._text.get(content_type)
        if text is None:
            text = media_type(content_type) in TEXT_TYPES
            if len(self._text) < 64:  # the caller chooses the key
                self._text[content_type] = text
        if not text:
            return body
        try:
            return body.decode("utf-8")
        except UnicodeDecodeError:
            return content.text_of(body)


def load(program: str, model_dir: Path, program_dir: Path, default_accept: str) -> Plugin:
    """Import the script, from the model's `code` folder or else from the program's, and load the model.

    Raises:
        LoadError: there is no such script, or it lacks a function. Whatever the script raises goes through.
    """
    compat.install()
    for folder in (program_dir, model_dir / "code"):
        if str(folder) not in sys.path and folder.is_dir():
            sys.path.insert(0, str(folder))
    name = program.removesuffix(".py")
    if importlib.util.find_spec(name) is None:
        raise LoadError(f"there is no {name}.py, neither in {model_dir / 'code'} nor in {program_dir}")
    return Plugin(importlib.import_module(name), model_dir, default_accept)


def _takes_context(function: Callable[..., Any], count: int) -> bool:
    """Whether a function of `count` arguments takes the context after them. Raises LoadError for others."""
    try:
        parameters = len(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return False  # a built-in that says nothing of itself
    if parameters in (count, count + 1):
        return parameters > count
    raise LoadError(
        f"{getattr(function, '__name__', 'a function')} takes {parameters} arguments; {count} are given, "
        "and the context to one that takes one more"
    )


def _bound(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    """`function`, to be called with `count` arguments and the context whether it takes that or not."""
    return function if _takes_context(function, count) else _without_context(function, count)


def _without_context(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    # By hand, not by *arguments: this is called three times a request.
    if count == 1:
        return lambda a, _context: function(a)
    if count == 2:
        return lambda a, b, _context: function(a, b)
    return lambda a, b, c, d, _context: function(a, b, c, d)


def _result(made: Any, accept: str, context: Context | None) -> Result:
    content_type = accept
    if isinstance(made, tuple):
        made, content_type = made
    elif "," in accept or ";" in accept or "*" in accept:
        content_type = media_type(accept.split(",")[0]).replace("*/*", content.JSON)
    if isinstance(made, str):
        made = made.encode("utf-8")
    elif not isinstance(made, bytes):
        if not isinstance(made, (bytearray, memoryview)):
            raise TypeError(f"output_fn gave {type(made).__name__}; str or bytes are expected")
        made = bytes(made)
    if context is None:
        return Result(made, content_type)
    return Result(made, context.content_type or content_type, context.status, context.response_headers)
