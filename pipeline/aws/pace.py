"""How long to wait between two looks: short at first and after news, longer while nothing happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Pace:
    """Seconds between looks, from `first` growing by half to `longest`. News brings it back."""

    first: float = 0.15
    longest: float = 3.0
    sleep: Callable[[float], None] = time.sleep
    _next: float = 0.0

    def wait(self, news: bool = False) -> None:
        """Sleep for the next interval."""
        self._next = self.first if news or not self._next else min(self._next * 1.5, self.longest)
        self.sleep(self._next)
