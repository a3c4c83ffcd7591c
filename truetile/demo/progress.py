"""The demo's progress on stderr: one bar on a terminal, one line per stage elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO


class Progress:
    """Stages of known weight, one after the other; use as a context manager."""

    def __init__(self, weights: dict[str, float], stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        whole = sum(weights.values())
        self._shares = {name: 100 * weight / whole for name, weight in weights.items()}
        self._bar = None
        self._base = 0.0
        self._name = ""
        self._began = 0.0

    def __enter__(self) -> Progress:
        if self._stream.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=100,
                file=self._stream,
                leave=False,
                dynamic_ncols=True,
                bar_format="{desc:<26} {percentage:3.0f}% |{bar}| {elapsed}, {remaining} left",
            )
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def begin(self, name: str) -> None:
        """The stage before is complete, `name` begins."""
        self._base += self._shares.get(self._name, 0.0)
        self._name, self._began = name, time.perf_counter()
        if self._bar is not None:
            self._bar.set_description_str(name)
            self.at(0.0)

    def at(self, share: float) -> None:
        """`share` in [0, 1] of the current stage is done."""
        if self._bar is not None:
            self._bar.n = self._base + self._shares[self._name] * share
            self._bar.refresh()

    def end(self) -> None:
        """The current stage is complete."""
        if self._bar is not None:
            self.at(1.0)
        else:
            seconds = time.perf_counter() - self._began
            print(f"{self._name}: {seconds:.1f} s", file=self._stream, flush=True)
