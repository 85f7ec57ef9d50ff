"""Scores rows through LightGBM's C interface: no numpy, pandas or lightgbm import in the server.

LightGBM's single-row fast call has its settings prepared once, and takes a fourth of what `Booster.predict`
takes for an array; the results are the same bits. What the imports would cost in start time and memory is
saved too.
"""

from __future__ import annotations

import ctypes
import importlib.util
import struct
from array import array
from pathlib import Path

from . import CLASSES, FEATURES
from .contract import ProgramError, available_processors
from .model import read

_FLOAT64, _PREDICT_NORMAL, _ROW_MAJOR, _ALL_ROUNDS = 1, 0, 1, -1
_NAME_BYTES = 64
# Threads cost more than they bring until there are thousands of rows.
_ROWS_FOR_THREADS = 4096


class Scorer:
    """A loaded model. Not for two threads at a time: the single row and its result have one place each."""

    def __init__(self, folder: Path) -> None:
        """Raises ProgramError when the model cannot be loaded or is not one of iris."""
        text, _ = read(folder)
        self._library = ctypes.CDLL(_library())
        # The same functions, called without letting other threads run: that costs more than the call.
        self._quick = ctypes.PyDLL(self._library._name)
        self._library.LGBM_GetLastError.restype = ctypes.c_char_p
        # Found broken by LightGBM it is told by exception here, and by a line on standard output there.
        self._library.LGBM_RegisterLogCallback(_silence)
        self._booster = ctypes.c_void_p()
        rounds = ctypes.c_int()
        try:
            self._check(
                self._library.LGBM_BoosterLoadModelFromString(
                    text.encode(), ctypes.byref(rounds), ctypes.byref(self._booster)
                )
            )
        except ProgramError as error:
            raise ProgramError(f"{folder / 'model.txt'} cannot be loaded: {error}") from error
        if self._names() != FEATURES or self._number("LGBM_BoosterGetNumClasses") != len(CLASSES):
            raise ProgramError(f"{folder / 'model.txt'} is not a model of iris")
        self._cells = (ctypes.c_double * len(FEATURES))()
        self._scores = (ctypes.c_double * len(CLASSES))()
        self._put = struct.Struct(f"{len(FEATURES)}d").pack_into
        self._take = struct.Struct(f"{len(CLASSES)}d").unpack_from
        self._count = ctypes.c_int64()
        self._fast = ctypes.c_void_p()
        self._check(
            self._library.LGBM_BoosterPredictForMatSingleRowFastInit(
                self._booster,
                _PREDICT_NORMAL,
                0,
                _ALL_ROUNDS,
                _FLOAT64,
                ctypes.c_int32(len(FEATURES)),
                b"num_threads=1",
                ctypes.byref(self._fast),
            )
        )
        self._call = self._quick.LGBM_BoosterPredictForMatSingleRowFast
        # As plain addresses: nothing is left to be converted at each call.
        self._call.argtypes = [ctypes.c_void_p] * 4
        self._places = tuple(ctypes.addressof(each) for each in (self._cells, self._count, self._scores))

    def row(self, cells: list[float]) -> tuple[float, ...]:
        """Probabilities of the classes for one row of features, in the order of FEATURES."""
        self._put(self._cells, 0, *cells)
        if self._call(self._fast, *self._places):
            raise RuntimeError(self._error())
        return self._take(self._scores)

    def rows(self, cells: array[float]) -> list[tuple[float, ...]]:
        """Probabilities of each row; cells: all rows' features, one row after the other."""
        count, columns = len(cells) // len(FEATURES), len(CLASSES)
        scores = array("d", bytes(8 * count * columns))
        threads = 1 if count < _ROWS_FOR_THREADS else available_processors()
        self._check(
            self._library.LGBM_BoosterPredictForMat(
                self._booster,
                ctypes.c_void_p(cells.buffer_info()[0]),
                _FLOAT64,
                ctypes.c_int32(count),
                ctypes.c_int32(len(FEATURES)),
                _ROW_MAJOR,
                _PREDICT_NORMAL,
                0,
                _ALL_ROUNDS,
                b"num_threads=%d" % threads,
                ctypes.byref(self._count),
                ctypes.c_void_p(scores.buffer_info()[0]),
            )
        )
        flat = iter(scores.tolist())
        return list(zip(*[flat] * columns, strict=True))

    def _names(self) -> tuple[str, ...]:
        """The model's features."""
        many = self._number("LGBM_BoosterGetNumFeature")
        buffers = [ctypes.create_string_buffer(_NAME_BYTES) for _ in range(many)]
        pointers = (ctypes.c_void_p * many)(*[ctypes.addressof(buffer) for buffer in buffers])
        count, size = ctypes.c_int(), ctypes.c_size_t()
        self._check(
            self._library.LGBM_BoosterGetFeatureNames(
                self._booster,
                ctypes.c_int(many),
                ctypes.byref(count),
                ctypes.c_size_t(_NAME_BYTES),
                ctypes.byref(size),
                pointers,
            )
        )
        return tuple(buffer.value.decode("utf-8", "replace") for buffer in buffers)

    def _number(self, function: str) -> int:
        value = ctypes.c_int()
        self._check(getattr(self._library, function)(self._booster, ctypes.byref(value)))
        return value.value

    def _check(self, code: int) -> None:
        if code:
            raise ProgramError(self._error())

    def _error(self) -> str:
        return bytes(self._library.LGBM_GetLastError()).decode("utf-8", "replace")


@ctypes.CFUNCTYPE(None, ctypes.c_char_p)
def _silence(_message: bytes) -> None:
    """LightGBM's own messages; what is wrong comes as an error too."""


def _library() -> str:
    """Path of LightGBM's library, without importing the package (which imports numpy and more)."""
    found = importlib.util.find_spec("lightgbm")
    for place in (found.submodule_search_locations or []) if found else []:
        for name in ("lib_lightgbm.so", "lib_lightgbm.dylib"):
            for path in (Path(place) / "lib" / name, Path(place) / name):
                if path.is_file():
                    return str(path)
    raise ProgramError("LightGBM's library is not among the installed packages")
