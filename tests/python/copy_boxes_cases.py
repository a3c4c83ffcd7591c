"""Boxes for copy_boxes and what their targets must be, on any device."""

import torch
from layer_cases import BITS, assert_same_bits, every_bit_pattern, view


def whole(tensor):
    """All of the memory that a view is of."""
    return tensor if tensor._base is None else tensor._base


def check_copy_boxes(op, sizes, dtype, device, views):
    """`views`: of each box those of source and target. Not a bit beside the targets changes."""
    values = every_bit_pattern(dtype, device)
    sources, targets, wanted = [], [], []
    for i, (size, (of_source, of_target)) in enumerate(zip(sizes, views, strict=True)):
        source, target = (view(size, dtype, device, how) for how in (of_source, of_target))
        count = source.numel()
        filling = values.roll(i).repeat(-(-count // len(values)))[:count].view(size)
        source.view(BITS[dtype]).copy_(filling.view(BITS[dtype]))
        all_bits = whole(target).view(BITS[dtype]).clone()
        part = all_bits.as_strided(target.shape, target.stride(), target.storage_offset())
        part.copy_(source.view(BITS[dtype]))
        sources.append(source)
        targets.append(target)
        wanted.append((all_bits, whole(source).clone()))
    op(sources, targets)
    for source, target, (made, kept) in zip(sources, targets, wanted, strict=True):
        assert torch.equal(whole(target).view(BITS[dtype]), made)
        assert_same_bits(whole(source), kept)


def check_padded_input(op, dtype, device, rows, columns, channels):
    """The boxes of a layer of the exact engine, all of views of few buffers: two calls of two."""
    count, own, kept, top = 2, 4, 2, 1

    def made(*size):
        return torch.randn(size, device=device).to(dtype)

    cache, line = made(count, rows + 3, columns, channels), made(9, kept + 1, columns, channels)
    padded = made(count + own, rows, columns, channels)
    wanted = padded.clone()
    wanted[:count] = cache[:, :rows]
    wanted[count:, top : top + kept] = line[3 : 3 + own, :kept]
    inner = padded[count:, top : top + kept]
    op([cache[:, :rows], line[3 : 3 + own, :kept]], [padded[:count], inner])
    assert_same_bits(padded, wanted)
    cached, lines = cache.clone(), line.clone()
    cached[:, :rows], lines[3 : 3 + own, :kept] = padded[own:], padded[count:, -kept:]
    op([padded[own:], padded[count:, -kept:]], [cache[:, :rows], line[3 : 3 + own, :kept]])
    assert_same_bits(cache, cached)
    assert_same_bits(line, lines)
    assert_same_bits(padded, wanted)
