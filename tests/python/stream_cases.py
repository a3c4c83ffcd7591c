"""Programs for the tests of streaming plans, for either backend."""

from __future__ import annotations

from types import ModuleType

from hypothesis import strategies as st


@st.composite
def programs(draw: st.DrawFn) -> dict:
    """A chain of blocks as plain numbers: (name, channels, kernel, kernel_t); with group norms?"""
    names = ["conv", "residual", "up", "down", "time_up", "time_down", "unpack", "pack"]
    names += ["up_both", "down_both"]
    blocks = draw(st.lists(st.sampled_from(names), min_size=1, max_size=6))
    attention = draw(st.sampled_from(["none", "first", "last"]))
    kind = draw(st.sampled_from(["attention", "clip_attention"]))
    if attention == "first":
        blocks.insert(0, kind)
    elif attention == "last":
        blocks.append(kind)
    halvings = sum(name in ("time_down", "pack", "down_both") for name in blocks)
    unit = 2**halvings
    # A clip that goes on from another one has no first frame that stands alone.
    alone = not (draw(st.booleans()) and {"time_up", "time_down"}.isdisjoint(blocks))
    begin = 1 if alone or not halvings else 0
    return {
        "blocks": [
            (name, draw(st.integers(1, 4)), draw(st.sampled_from([1, 3])), draw(st.integers(1, 3)))
            for name in blocks
        ],
        "groups": draw(st.integers(0, 1)),
        "way": draw(st.sampled_from(["FUSED", "PRODUCTS", "MATH"])),
        "suffix": "" if alone else "_ALL",
        "clip": (
            begin + unit * draw(st.integers(1 - begin, 3)),
            draw(st.integers(8, 30)),
            draw(st.integers(8, 20)),
            draw(st.integers(1, 3)),
        ),
    }


def halvings(case: dict) -> int:
    """How often rows and columns are halved."""
    return sum(name in ("down", "pack", "down_both") for name, *_ in case["blocks"])


def layers_of(module: ModuleType, case: dict) -> list:
    """The layers of a drawn program in the types of one backend."""
    layers: list = []
    channels = case["clip"][3]

    def add(kind: str, out: int, kernel: int = 1, kernel_t: int = 1, **more) -> None:
        nonlocal channels
        rule = more.pop("rule", (kernel, 1, kernel // 2, kernel // 2, 1))
        layers.append(
            module.StreamLayer(
                getattr(module.LayerKind, kind),
                source=more.pop("source", len(layers)),
                in_channels=more.pop("reads", channels),
                out_channels=out,
                kernel_t=kernel_t,
                rows=module.AxisRule(*rule),
                columns=module.AxisRule(*rule),
                **more,
            )
        )
        channels = out

    add("CONV", channels)
    for name, out, kernel, kernel_t in case["blocks"]:
        if name == "conv":
            add("CONV", out, kernel, kernel_t)
        elif name == "residual":
            before, reads, groups = len(layers), channels, case["groups"]
            add("CONV", out, kernel, kernel_t, groups=groups)
            middle = len(layers)
            add("CONV", out, source=before, reads=reads, padded=False)
            more = {"source": middle, "residual": len(layers), "groups": groups}
            add("CONV", out, kernel, kernel_t, **more)
        elif name == "up":
            add("CONV", out, rule=(3, 1, 1, 1, 2))
        elif name == "down":
            add("CONV", out, rule=(3, 2, 0, 1, 1))
        elif name in ("attention", "clip_attention"):
            way = getattr(module.AttentionWay, case["way"])
            add(name.upper(), channels, padded=False, groups=case["groups"], way=way)
        elif name in ("up_both", "down_both"):
            rule = (3, 1, 1, 1, 2) if name == "up_both" else (3, 2, 1, 1, 1)
            time = _time(module, case, "DOUBLE" if name == "up_both" else "HALVE")
            add("CONV", out, kernel_t=3, rule=rule, time_rule=time, groups=case["groups"])
        elif name == "unpack":
            # A pair of frames of 2 x 2 pixels, added to the input repeated as often.
            rule, before, reads = _shuffle(module, case, 2, 1), len(layers), channels
            add("CONV", 8 * out, kernel, kernel_t)
            repeated = {"residual": before, "shortcut": rule, "residual_channels": reads}
            add("SHUFFLE", out, padded=False, shuffle=rule, **repeated)
        elif name == "pack":
            rule, before, reads = _shuffle(module, case, 1, 2), len(layers), channels
            add("CONV", out, kernel, kernel_t)
            averaged = {"residual": before, "shortcut": rule, "residual_channels": reads}
            add("SHUFFLE", 8 * out, padded=False, shuffle=rule, **averaged)
        else:
            add(name.upper(), channels)
    return layers


def _shuffle(module: ModuleType, case: dict, up: int, down: int):
    return module.Shuffle(up, down, _time(module, case, "DOUBLE" if up > 1 else "HALVE"))


def _time(module: ModuleType, case: dict, name: str):
    return getattr(module.TimeRule, name + case["suffix"])
