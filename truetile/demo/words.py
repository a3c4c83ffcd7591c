"""The sentences of the demo's report: each says only what was measured."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..report import human_bytes

if TYPE_CHECKING:
    from .bench import Outcome, Subject
    from .metrics import Seam

NO_BORDERS = "no borders"
_ROUNDING = 0.1  # of 255; pictures of 8 bits hardly show half of one

GLOSSARY = (
    (
        "peak memory",
        "The most that a method held above what its process had before: weights, interpreter and "
        "input. Each method runs in a process of its own; on the CPU it is the system's high-water "
        "mark of resident memory, on a GPU torch's of allocated bytes.",
    ),
    (
        "pieces",
        "VAE calls, encode + decode; of an exact plan, strips of rows times chunks of latents.",
    ),
    (
        "work",
        "Work over that of one untiled pass: latents fed to the VAE, of an exact plan "
        "multiply-adds. What tiles have in common is computed twice.",
    ),
    (
        "PSNR",
        "Of the whole way there and back, pixel by pixel against the untiled result. The VAE's own "
        "loss is not in it. Sums in another order leave about 130 dB in float32.",
    ),
    (
        "seam",
        "Mean error within 32 pixels (1 frame) of the middle of each overlap of independent "
        "tiles, over the mean error elsewhere. 1 means that borders are no worse than the rest. "
        "Each method is measured at its own borders.",
    ),
    (
        "classic tiles",
        "The common recipe, written anew for this comparison: tiles begin at fixed steps, the last "
        "one is what remains, each is feathered on all sides and computed by itself, in time "
        "too. As in ComfyUI's fallback they share 64 px and measure 256 px, doubled while that "
        "fits the budget, and halved where it does not. A clip runs twice: in parts of 16 frames "
        "with 4 in common, as one sets it for long clips, and whole in time.",
    ),
)


def introduction(budget: int) -> str:
    """What was done, in two sentences."""
    return (
        "A photograph and a clip went through the embedded VAE, to latents and back, in one call, "
        f"by classic tiles, and by TrueTile with nothing but a budget of {human_bytes(budget)}."
    )


def headline(subjects: list[Subject], budget: int) -> str:
    """One sentence for the top of the page, from the subject that was helped most."""
    saved = []
    for subject in subjects:
        whole, ours = (subject.outcomes[n].numbers["peak_bytes"] for n in ("untiled", "truetile"))
        saved.append((whole / max(ours, 1), subject, whole, ours))
    factor, subject, whole, ours = max(saved, key=lambda entry: entry[0])
    if factor <= 1:
        return f"Untiled fits {human_bytes(budget)} already: try a smaller --budget."
    close = how_close(subject.outcomes["truetile"])
    # One size on both sides, and no line break between number and unit.
    sizes = [f"{size / 2**20:.0f}\u00a0MiB" for size in (ours, whole)]
    return f"A {subject.name} in {sizes[0]} instead of {sizes[1]}, {close}".replace(
        " dB", "\u00a0dB"
    )


def how_close(outcome: Outcome) -> str:
    """Distance to the untiled result, e.g. "47.2 dB from the untiled result"."""
    if math.isinf(outcome.psnr):
        return "equal to the untiled result"
    if equal_up_to_rounding(outcome):
        return "equal to the untiled result up to rounding"
    return f"{outcome.psnr:.1f} dB from the untiled result"


def equal_up_to_rounding(outcome: Outcome) -> bool:
    """Whether a plan that promises equality kept it: no value is off by a tenth of 1 of 255."""
    return outcome.numbers["claim"] == "exact" and outcome.largest_error * 255 <= _ROUNDING


def of_255(error: float) -> str:
    """An error in [0, 1] on the scale of 8 bits; a small one keeps two digits."""
    return f"{error * 255:.2f}" if error * 255 >= 0.1 else f"{error * 255:.2g}"


def black(outcome: Outcome) -> str:
    """What to say beside a difference picture in which nothing can be seen."""
    return f": black, {how_close(outcome)}" if equal_up_to_rounding(outcome) else ""


def verdict(subject: Subject, budget: int) -> list[str]:
    """Sentences about one subject: memory, closeness, comparison."""
    ours, whole = subject.outcomes["truetile"], subject.outcomes["untiled"]
    return [
        _memory(ours, whole, budget),
        _closeness(ours),
        *(_compared(subject, name) for name in subject.outcomes if name.startswith("classic")),
        f"The VAE itself, untiled, is {whole.psnr_original:.1f} dB from the original; "
        f"with TrueTile {ours.psnr_original:.1f} dB.",
    ]


def ratio(seam: Seam) -> str:
    """The seam ratio for people."""
    if math.isnan(seam.ratio):
        return "no error"
    return "infinite" if math.isinf(seam.ratio) else f"{seam.ratio:.2f}"


def _memory(ours: Outcome, whole: Outcome, budget: int) -> str:
    peak = ours.numbers["peak_bytes"]
    kept = "kept" if peak <= budget else "NOT kept"
    share = peak / max(1, whole.numbers["peak_bytes"])
    pace = ours.seconds / whole.seconds
    return (
        f"TrueTile peaks at {human_bytes(peak)} ({share:.0%} of untiled): the budget of "
        f"{human_bytes(budget)} was {kept}. It takes {pace:.2f} x the time of untiled."
    )


def _closeness(ours: Outcome) -> str:
    largest = ours.largest_error * 255
    if ours.numbers["claim"] == "exact":
        if math.isinf(ours.psnr):
            return "Its plan is exact, and the result is: every value equals the untiled one."
        return (
            "Its plan is exact: every layer sees what it sees untiled, only sums run in another "
            f"order. The largest difference of any value is {largest:.2g} of 255, so that its "
            "difference picture is black."
            if equal_up_to_rounding(ours)
            else f"Its plan is exact, but the largest difference is {largest:.2g} of 255."
        )
    chunked = "chunks of" in ours.numbers["plan"]
    time = "In time it is exact, since chunks carry the causal cache. " if chunked else ""
    return (
        f"Its plan is close, not equal: spatial tiles are computed apart and blended. {time}It is "
        f"{how_close(ours)}, the largest difference of any value is {largest:.1f} of 255."
    )


def _compared(subject: Subject, name: str) -> str:
    ours, other = subject.outcomes["truetile"], subject.outcomes[name]
    what = subject.label(name).capitalize()
    what += "," if "," in what else ""
    gain = ours.psnr - other.psnr
    if math.isinf(ours.psnr) or equal_up_to_rounding(ours):
        closer = f"are {how_close(other)}"
    else:
        word = "better" if gain >= 0 else "worse"
        closer = f"reach {other.psnr:.1f} dB: TrueTile is {abs(gain):.1f} dB {word}"
    pace = other.seconds / ours.seconds
    peak = human_bytes(other.numbers["peak_bytes"])
    return f"{what} {closer}. They take {pace:.2f} x TrueTile's time and peak at {peak}."
