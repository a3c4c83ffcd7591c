"""A program as stages, one after the other: layers that take the whole clip, or span after span."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..families.program import Roll, replace_shape
from ..stream import LayerKind, Segment, Span, StreamLayer, StreamPlan, TimeRule, value_sizes

Size = tuple[int, int, int, int]  # T, H, W, C
Shapes = tuple[StreamLayer, ...]


@dataclass(frozen=True)
class Part:
    """A stage in one span: frames `read` of what goes in become frames `made` of what comes out."""

    shapes: Shapes
    clip: Size
    read: Span
    made: Span


@dataclass(frozen=True)
class Stage:
    """Layers [first, last) as a program of their own, in one part or in several that follow."""

    first: int
    last: int
    parts: tuple[Part, ...]

    @property
    def largest(self) -> Part:
        """The part that makes the most frames."""
        return max(self.parts, key=lambda part: part.made.length)

    def plan(self, whole: StreamPlan) -> StreamPlan:
        """What the program's plan says of this stage, in the stage's own counting."""
        own = (one for one in whole.segments if self.first <= one.first < self.last)
        segments = tuple(_moved(one, -self.first) for one in own)
        return StreamPlan(segments, whole.bytes, whole.seconds)

    def moved_out(self, own: Sequence[Segment]) -> tuple[Segment, ...]:
        """What the stage's own plan adds to the program's."""
        return tuple(_moved(one, self.first) for one in own)


def stages_of(shapes: Shapes, roll: Roll, clip: Size) -> tuple[Stage, ...]:
    """The stages of a program with a roll, in order."""
    sizes = value_sizes(shapes, clip)
    stages = []
    for first, last in ((0, roll.first), (roll.first, roll.last), (roll.last, len(shapes))):
        if first < last:
            frames, *size = sizes[first]
            spans = roll.spans(frames) if first == roll.first else [Span(0, frames)]
            own = tuple(_from(shape, first) for shape in shapes[first:last])
            stages.append(Stage(first, last, _parts(own, spans, size)))
    return tuple(stages)


def _parts(shapes: Shapes, spans: list[Span], size: Sequence[int]) -> tuple[Part, ...]:
    parts: list[Part] = []
    made = 0
    for span in spans:
        own = tuple(map(_going_on, shapes)) if parts else shapes
        clip = (span.length, *size)
        frames = value_sizes(own, clip)[-1][0]
        parts.append(Part(own, clip, span, Span(made, made + frames)))
        made += frames
    return tuple(parts)


def _from(shape: StreamLayer, first: int) -> StreamLayer:
    """A layer of a program that begins at layer `first` of another one."""
    residual = shape.residual - first if shape.residual >= 0 else -1
    return replace_shape(shape, source=shape.source - first, residual=residual)


def _going_on(shape: StreamLayer) -> StreamLayer:
    """A layer in a span behind the first one, where no frame stands alone."""
    if shape.kind != LayerKind.CONV:
        raise ValueError(f"{shape}: only convolutions go on from span to span")
    every = {TimeRule.DOUBLE: TimeRule.DOUBLE_ALL, TimeRule.HALVE: TimeRule.HALVE_ALL}
    return replace_shape(shape, time_rule=every.get(shape.time_rule, shape.time_rule))


def _moved(segment: Segment, by: int) -> Segment:
    over = segment.over + by if segment.over >= 0 else -1
    first, last = segment.first + by, segment.last + by
    return Segment(first, last, segment.rows, segment.chunk, segment.keep, over, segment.queries)
