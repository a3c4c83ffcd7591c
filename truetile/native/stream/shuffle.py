"""How a value is read without weights; twin of csrc/core/stream/shuffle.hpp."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ..grid import Span


class TimeRule(enum.IntEnum):
    """What becomes of frames. The first one stands alone; those behind it double or halve.

    A clip that goes on from another one has no such first frame: there all frames do (..._ALL).
    """

    SAME = 0
    DOUBLE = 1
    HALVE = 2
    DOUBLE_ALL = 3
    HALVE_ALL = 4

    @property
    def doubles(self) -> bool:
        return self in (TimeRule.DOUBLE, TimeRule.DOUBLE_ALL)

    @property
    def halves(self) -> bool:
        return self in (TimeRule.HALVE, TimeRule.HALVE_ALL)


def frames_made(rule: TimeRule, n: int) -> int:
    """Frames made of `n` frames."""
    if rule.doubles:
        return max(0, 2 * n - (rule == TimeRule.DOUBLE))
    return (n + (rule == TimeRule.HALVE)) // 2 if rule.halves else n


def frames_read(rule: TimeRule, made: Span) -> Span:
    """The frames of which `made` are made, where both begin and end with whole pairs."""

    def edge(frame: int) -> int:
        if rule.doubles:
            return (frame + 1) // 2
        if rule.halves and frame:
            return 2 * frame - (rule == TimeRule.HALVE)
        return frame

    return Span(edge(made.begin), edge(made.end))


@dataclass(frozen=True)
class Shuffle:
    """Pixels come out of channels or go into them: a row becomes `up` ones, or `down` become one.

    Frames follow `time`. What channels they are, and whether they are repeated or averaged, is not
    a matter of geometry.
    """

    up: int = 1
    down: int = 1
    time: TimeRule = TimeRule.SAME

    def size(self, n: int) -> int:
        """Rows or columns made of `n`."""
        return n * self.up // self.down

    def begin(self, out: int, n: int) -> int:
        """The first of `n` rows that row `out` or a later one is made of; n if there is none."""
        return n if out >= self.size(n) else self.rows(Span(out, out)).begin

    def end(self, out: int, n: int) -> int:
        """How many of `n` rows are needed for rows [0, out); all of them for the last."""
        return n if out >= self.size(n) else self.reach(out)

    def reach(self, out: int) -> int:
        """Rows needed for the rows before `out`, as if there were no first and no last one."""
        return self.rows(Span(out, out)).end

    def rows(self, out: Span) -> Span:
        """Rows that `out` are made of, without those that no whole row is left for."""
        return Span(out.begin * self.down // self.up, -(-out.end * self.down // self.up))

    def averaged(self, channels: int, out_channels: int) -> int:
        """Values that become one, where `channels` become `out_channels`; at least 1."""
        pixels = self.down**2 * (2 if self.time.halves else 1)
        return max(1, channels * pixels // out_channels)
