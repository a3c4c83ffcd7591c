"""What a decode or encode did, in numbers that were measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field


def human_bytes(count: int | None) -> str:
    """`count` bytes for people; an unknown figure is called unknown, never 0."""
    if count is None:
        return "unknown"
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.2f} GiB"


@dataclass(frozen=True)
class Report:
    """The outcome of one call of `truetile.decode` or `truetile.encode`.

    `rungs` lists the rungs of the ladder that were used, in order; each entry has `name`,
    `tiles` (VAE calls that were kept), `bytes` (the estimate) and `outcome` ("done", or "out of
    memory after n tiles"). `work_factor` is the work done over the work of one untiled pass,
    counted in latents fed to the VAE. `peak_bytes` is None where no true peak can be known.
    """

    operation: str
    plan: str
    rungs: tuple[dict, ...]
    tiles: int
    work_factor: float
    peak_bytes: int | None
    seconds: float
    exact: bool
    why: str
    warnings: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict:
        """The report as plain lists, dicts, numbers and strings, ready for JSON."""
        return asdict(self) | {"rungs": list(self.rungs), "warnings": list(self.warnings)}

    def summary(self) -> str:
        """The report in two or three short lines, for a node in an editor.

        Of a warning only what comes before its colon: the rest is in the report.
        """
        equal = "exact" if self.exact else "close to untiled"
        lines = [f"{equal}, {self.seconds:.1f} s, peak {human_bytes(self.peak_bytes)}", self.plan]
        if not self.exact:
            lines.append(self.why)
        return "\n".join([*lines, *(text.partition(": ")[0] for text in self.warnings)])

    def __str__(self) -> str:
        equal = "equal to the untiled result up to rounding"
        equal = equal if self.exact else "close to the untiled result"
        lines = [
            f"TrueTile {self.operation}: {self.plan}, {equal}",
            f"{self.seconds:.2f} s, peak {human_bytes(self.peak_bytes)}, "
            f"{self.tiles} tile{'s' if self.tiles != 1 else ''}, work {self.work_factor:.2f}x",
            f"why: {self.why}",
        ]
        if len(self.rungs) > 1:
            lines += [
                f"  {rung['name']}: {rung['outcome']} (estimate {human_bytes(rung['bytes'])})"
                for rung in self.rungs
            ]
        lines += [f"warning: {text}" for text in self.warnings]
        return "\n".join(lines)
