"""The nodes that say what is on the card, free it and prove it, and stop a run that cannot fit."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..truetile.memory.plot import THEMES
from . import host, memory_report, memory_service
from .memory_service import ACTIONS, Checkpoint
from .schema import advanced, output, report_output, schema


class AnyType(str):
    """Equal to every type name: what v0.3.64 needs to take any wire; later versions know "*"."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __ne__(self, other: object) -> bool:
        return False


ANY = io.Custom(AnyType("*"))


class MemoryNode(io.ComfyNode):
    """Takes any wire, and runs in every prompt."""

    @classmethod
    def validate_inputs(cls, input_types: dict | None = None) -> bool:
        return True  # this switches off the check that v0.3.64 does on type names

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> float:
        return float("nan")  # never equal to itself


class MemoryCheckpoint(MemoryNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MemoryCheckpoint",
            display_name="TrueTile Memory Checkpoint",
            description="Between two phases: says what is on the card and who holds it, frees what "
            "it is asked to free and proves it, and stops the run when a budget cannot be kept.",
            search_aliases=["free memory", "vram", "unload models", "purge vram", "clean vram"],
            not_idempotent=True,
            inputs=[
                ANY.Input("anything", tooltip="Passes through unchanged; it orders the phases."),
                io.String.Input("phase", default="phase", tooltip="Name of the phase that begins."),
                io.Combo.Input(
                    "action",
                    options=list(ACTIONS),
                    default="observe",
                    tooltip="observe: only look. verify: empty torch's cache and check the "
                    "budgets. offload: take all models off the card and prove it. offload all "
                    "but connected models: those wired to this node stay. repair: bring memory "
                    "back step by step, cheapest first, until must_be_free_gib is free.",
                ),
                _gib(
                    "may_stay_gib",
                    "What this process may keep on the card, in GiB, its CUDA context aside. "
                    "0: no budget.",
                ),
                _gib(
                    "must_be_free_gib",
                    "What the next phase must be able to get, in GiB. After an offload, ComfyUI "
                    "is also told to keep it free until the next checkpoint. 0: no budget.",
                ),
                io.Combo.Input(
                    "on_violation",
                    options=["warn", "error"],
                    default="warn",
                    tooltip="When a budget is not kept or memory stays that was to leave: warn in "
                    "the report and the log, or stop the run with the names of the holders.",
                ),
                io.Boolean.Input(
                    "clear_torch_cache",
                    default=True,
                    tooltip="Give back what torch keeps unused, so that other programs can have "
                    "it. Not done by observe.",
                ),
                io.Model.Input("model", optional=True, tooltip="A model that may stay."),
                io.Clip.Input("clip", optional=True, tooltip="A text encoder that may stay."),
                io.Vae.Input("vae", optional=True, tooltip="A VAE that may stay."),
                _gib(
                    "reserve_gib",
                    "What TrueTile's own plans leave free until the next checkpoint or the end "
                    "of the prompt, in GiB. 0: only what TRUETILE_RESERVE_GIB says.",
                    **_added_later(io.Float.Input),
                ),
                io.String.Input(
                    "private_modules",
                    default="",
                    tooltip="Models that custom nodes keep for themselves, by the class name that "
                    "a report gives, separated by commas. An offload moves them to main memory.",
                    **_added_later(io.String.Input),
                ),
            ],
            outputs=[
                ANY.Output(display_name="anything", tooltip="What went in."),
                io.Model.Output(tooltip="The model that went in."),
                io.Clip.Output(tooltip="The text encoder that went in."),
                io.Vae.Output(tooltip="The VAE that went in."),
                io.Int.Output(
                    display_name="free_bytes",
                    tooltip="Bytes that the next phase can get; -1 where that is unknown.",
                ),
                report_output("The verdict, the account, and the phase that ended."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, anything: Any, model: Any = None, clip: Any = None, vae: Any = None, **values: Any
    ) -> io.NodeOutput:
        settings = Checkpoint(**values)
        connected = [thing for thing in (model, clip, vae) if thing is not None]
        checked = memory_service.checkpoint(settings, anything, connected)
        host.show_text(cls.hidden.unique_id, checked.short)
        return output(anything, model, clip, vae, checked.free, report=checked.text)


class MemoryReport(MemoryNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MemoryReport",
            display_name="TrueTile Memory Report",
            description="The memory of the run so far: peak, mean and minimum of each phase, and "
            "who holds what now. A plot on the node; text, JSON, CSV and an HTML page in "
            "output/memory.",
            search_aliases=["vram report", "memory profile", "peak memory"],
            is_output_node=True,
            not_idempotent=True,
            inputs=[
                ANY.Input("anything", optional=True, tooltip="Passes through; orders the report."),
                io.String.Input("name", default="memory", tooltip="Start of the files' names."),
                io.Boolean.Input(
                    "clear", default=True, tooltip="Begin a new record after this report."
                ),
                io.Combo.Input(
                    "plot",
                    options=list(THEMES),
                    default=THEMES[0],
                    tooltip="Colours of the plot on the node. The page in output/memory follows "
                    "the browser.",
                    **_added_later(io.Combo.Input),
                ),
            ],
            outputs=[
                ANY.Output(display_name="anything", tooltip="What went in."),
                io.String.Output(display_name="json", tooltip="The timeline with all samples."),
                report_output("The phases, and who holds what now."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, name: str, clear: bool, plot: str = THEMES[0], anything: Any = None
    ) -> io.NodeOutput:
        report = memory_report.report(name, clear, plot)
        text = f"{report.text}\nwritten: " + ", ".join(path.name for path in report.files)
        host.show_text(cls.hidden.unique_id, text)
        return output(anything, report.json, report=text, picture=report.picture)


class FreeMemoryProbe(MemoryNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="FreeMemoryProbe",
            display_name="TrueTile Free Memory Probe",
            description="How much memory can be had now, as numbers for logic nodes. -1 is a "
            "figure that this machine does not tell; the JSON says why.",
            search_aliases=["free vram", "available memory"],
            not_idempotent=True,
            inputs=[
                ANY.Input("anything", optional=True, tooltip="Passes through; orders the probe."),
                io.Boolean.Input(
                    "probe_largest_block",
                    default=False,
                    tooltip="Find the largest block by really allocating, where the allocator "
                    "does not tell it (cudaMallocAsync). Disturbs what it measures: weights may "
                    "be evicted and torch's peak counters rise.",
                ),
            ],
            outputs=[
                ANY.Output(display_name="anything", tooltip="What went in."),
                io.Float.Output(display_name="free_gib", tooltip="What torch can hand out."),
                io.Int.Output(display_name="free_bytes", tooltip="The same in bytes."),
                io.Int.Output(display_name="driver_free_bytes", tooltip="Free on the device."),
                io.Int.Output(display_name="largest_block_bytes", tooltip="Largest single tensor."),
                io.String.Output(display_name="json", tooltip="All figures and reasons."),
            ],
        )

    @classmethod
    def execute(cls, probe_largest_block: bool, anything: Any = None) -> io.NodeOutput:
        found, text = memory_service.probe(probe_largest_block)
        free = _number(found.torch)
        gib = free / 2**30 if free >= 0 else -1.0
        return io.NodeOutput(
            anything, gib, free, _number(found.driver), _number(found.largest_block), text
        )


def _number(count: int | None) -> int:
    """An output has to be a number: -1 is "not told", never 0."""
    return -1 if count is None else count


def _gib(name: str, tooltip: str, **more: Any) -> Any:
    limits = {"default": 0.0, "min": 0.0, "max": 1024.0, "step": 0.25}
    return io.Float.Input(name, tooltip=tooltip, **limits, **more)


def _added_later(kind: Any) -> dict[str, bool]:
    """Folded away, and not required of prompts made before it existed."""
    return {"optional": True} | advanced(kind)
