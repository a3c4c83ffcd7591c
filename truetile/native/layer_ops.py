"""The ops of single layers, native or plain torch (see `dispatch`); frames are channels-last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import InvalidArgument
from .dispatch import decline, run, why_twin

if TYPE_CHECKING:
    import torch

# Of `copy_boxes`, by the number of boxes: a list of tensors, or optional ones, take longer to pass.
_OVERLOADS = ("", "one", "two", "three", "four")


def norm_pad(
    x: torch.Tensor,
    out: torch.Tensor,
    scale: torch.Tensor | None = None,
    shift: torch.Tensor | None = None,
    *,
    rms: bool = False,
    silu: bool = False,
    top: int = 0,
    bottom: int = 0,
    left: int = 0,
    right: int = 0,
) -> None:
    """Write a convolution's padded input: norm and SiLU of `x`, zeros around.

    Row r and column q of the interior of `out` are f(x[:, r, q]), where f is
    x / max(||x||, 1e-12) * sqrt(C) * scale + shift with `rms`, else x * scale + shift, and then
    SiLU. It is computed in float32 and rounded once. Nothing is allocated by the native op,
    nothing waits for the device.

    Args:
        x: [t, h, w, C], float32, float16 or bfloat16, adjacent channels, other strides any; it may
            have more rows and columns than the interior.
        out: [t, Hp, Wp, C], same dtype and device, other memory, adjacent channels.
        scale: float32 [C], or [t, C] for one of each frame; None leaves values as they are.
        shift: likewise; only with a scale.
        rms: divide by the root mean square over channels first.
        silu: apply SiLU last.
        top: rows of zeros; likewise bottom, and left and right in columns.
        bottom: see top.
        left: see top.
        right: see top.

    Raises:
        InvalidArgument: an argument does not fit; the message says which, its value and the rule.
    """
    args = (x, out, scale, shift, bool(rms), bool(silu), top, bottom, left, right)
    run("norm_pad", decline(x, out), args)


def merge(
    y: torch.Tensor,
    bias: torch.Tensor | None,
    residual: torch.Tensor | None,
    out: torch.Tensor,
) -> None:
    """Write y + bias + residual into `out`, computed in float32 and rounded once.

    Without bias and residual it copies every bit, also of a NaN. Nothing is allocated by the
    native op, nothing waits for the device.

    Args:
        y: [t, h, w, C], float32, float16 or bfloat16, adjacent channels, other strides any.
        bias: [C], float32 or the dtype of `y`, or None.
        residual: like `y`, or None.
        out: like `y`. It may be the very memory of `y` or of `residual`, and a strided view such
            as buffer[:, i::2, j::2], but must not overlap them otherwise.

    Raises:
        InvalidArgument: an argument does not fit; the message says which, its value and the rule.
    """
    run("merge", decline(y, out), (y, bias, residual, out))


def copy_boxes(sources: Sequence[torch.Tensor], targets: Sequence[torch.Tensor]) -> None:
    """Copy each of up to four boxes to its target, every bit of it, in one launch.

    Nothing is allocated by the native op, nothing waits for the device.

    Args:
        sources: [t, h, w, C] each, all float32, float16 or bfloat16 and on one device, adjacent
            channels, other strides any. Empty ones are skipped; without any nothing is done.
        targets: each like its source. None may overlap a source or another target.

    Raises:
        InvalidArgument: an argument does not fit; the message says which, its value and the rule.
    """
    count = len(sources)
    if count >= len(_OVERLOADS):
        raise InvalidArgument(f"copy_boxes: len(sources)={count}: must be in [0, 4]")
    if len(targets) != count:
        rule = f"must be {count} (as sources)"
        raise InvalidArgument(f"copy_boxes: len(targets)={len(targets)}: {rule}")
    if count:
        reason = why_twin(sources[0].device.type)
        run("copy_boxes", reason, (*sources, *targets), _OVERLOADS[count])


def merge_norm_pad(
    y: torch.Tensor,
    bias: torch.Tensor | None,
    residual: torch.Tensor | None,
    window: torch.Tensor,
    fresh: int,
    out: torch.Tensor,
    scale: torch.Tensor | None = None,
    shift: torch.Tensor | None = None,
    *,
    rms: bool = False,
    silu: bool = False,
    top: int = 0,
    bottom: int = 0,
    left: int = 0,
    right: int = 0,
) -> None:
    """Do ``merge(y, bias, residual, window[:, fresh:])``, then ``norm_pad(window, out, ...)``.

    It is one pass, so that what a convolution made is not read back from memory for the next
    layer's input; every bit is as of the two ops one after the other. Nothing is allocated by the
    native op, nothing waits for the device.

    Args:
        y: [t, h - fresh, w, C], float32, float16 or bfloat16, adjacent channels, other strides any.
        bias: as of `merge`.
        residual: as of `merge`.
        window: [t, h, w, C] like `y`; its rows below `fresh` are only read. It may have more rows
            and columns than the interior of `out`. window[:, fresh:] may be the very memory of `y`
            or of `residual`, but must not overlap them otherwise. It may also be the interior of
            `out` itself, where nobody else reads what is merged.
        fresh: the first row that is written.
        out: as of `norm_pad`, other memory than all else but such a window.
        scale: as of `norm_pad`, like all that follows.
        shift: see scale.
        rms: see scale.
        silu: see scale.
        top: see scale.
        bottom: see scale.
        left: see scale.
        right: see scale.

    Raises:
        InvalidArgument: an argument does not fit; the message says which, its value and the rule.
    """
    args = (y, bias, residual, window, fresh, out, scale, shift, bool(rms), bool(silu))
    run("merge_norm_pad", decline(y, window), (*args, top, bottom, left, right))


def softmax_rows(scores: torch.Tensor, out: torch.Tensor) -> None:
    """Write the softmax of each row of `scores` into `out`.

    It is computed in float32 and rounded once. As in torch, a row with a NaN or an infinity, or of
    -inf alone, becomes NaN. Nothing is allocated by the native op, nothing waits for the device.

    Args:
        scores: [n, m], float32, adjacent columns, any stride of rows.
        out: [n, m], float32, float16 or bfloat16, on the same device, adjacent columns. It may be
            the very memory of `scores` where it is float32, but must not overlap them otherwise.

    Raises:
        InvalidArgument: an argument does not fit; the message says which, its value and the rule.
    """
    run("softmax_rows", decline(scores, out), (scores, out))
