"""Everything that has a native form: the ops on tensors, each with a twin in plain Python.

Importing this imports neither torch nor a library; the first call does.
"""

from .conv_ops import conv_few_outputs, why_no_conv_few_outputs
from .dispatch import status, why_twin
from .group_norm import group_affine, group_moments, group_moments_scratch
from .layer_ops import copy_boxes, merge, merge_norm_pad, norm_pad, softmax_rows
from .tile_ops import blend_tile, count_nonfinite

__all__ = [
    "blend_tile",
    "conv_few_outputs",
    "copy_boxes",
    "count_nonfinite",
    "group_affine",
    "group_moments",
    "group_moments_scratch",
    "merge",
    "merge_norm_pad",
    "norm_pad",
    "softmax_rows",
    "status",
    "why_no_conv_few_outputs",
    "why_twin",
]
