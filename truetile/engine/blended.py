"""Runs a ladder: tile by tile through the VAE, blended into one host tensor.

The plan (which tiles, in which order, what to do when memory runs out) is the ladder's; this file
only feeds the VAE, checks what it returns and keeps the causal caches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .. import native
from ..errors import LadderExhausted, NonFiniteError
from ..families import carry as carries
from ..families.carry import CausalCarry
from ..plan import Ladder, Step
from ..report import human_bytes
from .canvas import CanvasStack
from .inputs import check_finite
from .memory import is_out_of_memory, release
from .output import IDENTITY, HostOutput
from .ports import Affine, VaePort


@dataclass
class Job:
    """One clip or image to decode or encode.

    source: [1, C, T, h, w] (video) or [1, C, h, w] on any device; latents to decode, pixels in
    [0, 1] to encode. output: takes the result.
    """

    port: VaePort
    operation: str
    source: torch.Tensor
    output: HostOutput
    carry: CausalCarry | None


class TileRunner:
    """Computes the steps of a ladder; `last_rung` is the deepest that the mode allows."""

    def __init__(self, job: Job, ladder: Ladder, last_rung: int) -> None:
        self._job = job
        self._ladder = ladder
        self._last_rung = last_rung
        port = job.port
        decoding = job.operation == "decode"
        channels = port.pixel_channels if decoding else port.latent_channels
        # A finish that is no affine is applied to the whole result by the caller.
        fused = decoding and isinstance(port.finish, Affine)
        finish = port.finish if fused else IDENTITY
        self._canvases = CanvasStack(channels, job.output, finish, port.device)
        self._channels = channels
        self._states: dict[int, carries.State] = {}
        self._counts = torch.zeros(2, dtype=torch.int64, device=port.device)
        self.repeated_in_fp32 = 0
        self.latents_read = 0

    def run(
        self,
        check_interrupt: Callable[[], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Runs to the end. Raises LadderExhausted, NonFiniteError, or what the VAE raises."""
        while (step := self._ladder.next()) is not None:
            if check_interrupt is not None:
                check_interrupt()
            if self._attempt(step):
                self._ladder.done(step)
                self.latents_read += _volume(step)
            else:
                release(self._job.port.device)
                self._fall(step)
            if progress is not None:
                progress(self._ladder.finished_pixels, self._ladder.total_pixels)

    def _fall(self, step: Step) -> None:
        self._ladder.out_of_memory(step)
        if self._ladder.deepest_rung > self._last_rung:
            failed = self._ladder.rungs[step.rung].describe()
            raise LadderExhausted(f"out of memory: {failed} needs about {human_bytes(step.bytes)}")

    def _attempt(self, step: Step) -> bool:
        """False when memory ran out; nothing of the attempt is alive then."""
        try:
            block, state = self._compute(step)
            self._canvases.add(block, step.levels)
        except Exception as error:
            # The traceback holds the tensors of the failed call, so nothing is freed before this
            # block is left.
            if not is_out_of_memory(error):
                raise
            return False
        self._keep(step, state)
        return True

    def _compute(self, step: Step) -> tuple[torch.Tensor, carries.State | None]:
        port = self._job.port
        tile = self._read(step)
        raw, state = self._call(tile, step, self._state_before(step))
        self._check_shape(raw, step)
        if not self._all_finite(raw):
            del raw, state
            raw, state = self._repeat(tile, step)
        block = raw[0] if raw.dim() == 5 else raw[0].unsqueeze(1)
        return block.to(port.device), state

    def _read(self, step: Step) -> torch.Tensor:
        """The part of the source that the step's call reads, on the device, in the VAE's dtype."""
        port, source = self._job.port, self._job.source
        t, y, x = step.latent if self._job.operation == "decode" else step.pixel
        tile = source[..., y.begin : y.end, x.begin : x.end]
        if source.dim() == 5:
            tile = tile[:, :, t.begin : t.end]
        if self._job.operation == "decode":
            return tile.to(device=port.device, dtype=port.dtype)
        # Converted on the device: the CPU would take as long as the encode itself.
        return port.pixels_in(tile.to(port.device)).to(port.dtype)

    def _call(
        self, tile: torch.Tensor, step: Step, state: carries.State | None
    ) -> tuple[torch.Tensor, carries.State | None]:
        port = self._job.port
        whole_clip = step.first_in_time and step.starts_tile and step.last_in_tile
        if self._job.carry is not None and not whole_clip:
            size = (step.latent[1].length, step.latent[2].length)
            return self._job.carry.run(tile, state, spatial=size)
        return getattr(port, self._job.operation)(tile), None

    def _repeat(self, tile: torch.Tensor, step: Step) -> tuple[torch.Tensor, carries.State | None]:
        """The tile once more in float32: half precision overflows in some decoders."""
        if self._job.operation == "encode":
            check_finite("pixels", self._job.source)
        dtype = self._job.port.dtype
        if dtype != torch.float32:
            state = _cast(self._state_before(step), torch.float32)
            with self._job.port.fp32():
                raw, state = self._call(tile.float(), step, state)
            if self._all_finite(raw):
                self.repeated_in_fp32 += 1
                return raw, _cast(state, dtype)
        t, y, x = step.pixel
        raise NonFiniteError(
            f"{self._job.operation}: the VAE made NaN or Inf in frames {t.begin}..{t.end - 1}, "
            f"rows {y.begin}..{y.end - 1}, columns {x.begin}..{x.end - 1}, in float32 too; its "
            "input is finite there, so the weights or this VAE's code are at fault"
        )

    def _all_finite(self, raw: torch.Tensor) -> bool:
        if not raw.is_floating_point():
            return True
        self._counts.zero_()
        native.count_nonfinite(raw, self._counts)
        return not self._counts.any().item()

    def _check_shape(self, raw: torch.Tensor, step: Step) -> None:
        t, y, x = (tile.out.length for tile in step.axes)
        want = (1, self._channels, t, y, x)
        if self._job.source.dim() == 4:
            want = (1, self._channels, y, x)
        if tuple(raw.shape) != want:
            raise RuntimeError(
                f"{self._job.operation}: the VAE returned {tuple(raw.shape)}, expected {want} for "
                f"a tile of {_volume(step)} latents; its scale factors are declared wrongly"
            )

    # Causal caches. One per depth is enough: a frame works on one spatial tile at a time.

    def _state_before(self, step: Step) -> carries.State | None:
        if self._job.carry is None or step.cache_depth < 0:
            return None
        state = self._states[step.cache_depth]
        if not step.inherits_cache:
            return state
        rows, columns = step.cache_crop
        around = step.levels[step.cache_depth].axes
        return carries.crop(
            state,
            (rows.begin, rows.end),
            (columns.begin, columns.end),
            (around[1].latent.length, around[2].latent.length),
        )

    def _keep(self, step: Step, state: carries.State | None) -> None:
        # An outer depth's cache lives on while the step is inside a tile that it has begun.
        levels = step.levels
        self._states = {
            d: s for d, s in self._states.items() if d < step.depth and levels[d].index[0] > 0
        }
        if state is not None and not step.last_in_tile:
            self._states[step.depth] = state


def _cast(state: carries.State | None, dtype: torch.dtype) -> carries.State | None:
    if state is None:
        return None
    return [e.to(dtype) if isinstance(e, torch.Tensor) else e for e in state]


def _volume(step: Step) -> int:
    t, y, x = step.latent
    return t.length * y.length * x.length
