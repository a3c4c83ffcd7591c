"""What a MemoryReport gives: the run so far as text, as files and as a picture."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..truetile import memory
from ..truetile.memory import page, plot

log = logging.getLogger("truetile")


@dataclass(frozen=True)
class Report:
    """What a MemoryReport gives: `files` in ComfyUI's output folder, `picture` a PNG or None."""

    text: str
    json: str
    files: list[Path]
    picture: bytes | None


def report(name: str, clear: bool, theme: str) -> Report:
    """The run so far. Cleared, it ends here: what comes until the next checkpoint is no phase."""
    monitor = memory.monitor()
    ended = monitor.current_phase
    monitor.end_phase()
    device = monitor.device
    held = memory.holdings(device)
    lines = [monitor.text(), memory.account_text(memory.take_account(device, held, where=True))]
    text = "\n".join(line for line in lines if line)
    if line := page.sparkline(monitor.timeline()):
        text = f"{line}\n{text}"
    data, timeline = monitor.to_json(), monitor.timeline()
    contents = {"json": data, "csv": monitor.to_csv(), "txt": text + "\n"}
    contents["html"] = page.html(timeline, text)
    files = _write(name, contents)
    if clear:
        monitor.clear()
    elif ended:
        monitor.begin_phase(ended)
    return Report(text, data, files, _picture(timeline, theme))


def _picture(timeline: dict[str, Any], theme: str) -> bytes | None:
    """None where Pillow is too old to draw text: the figures must not be lost for a plot."""
    try:
        return plot.png(timeline, theme)
    except Exception:
        log.exception("TrueTile could not draw the plot of a memory report")
        return None


def _write(name: str, contents: dict[str, str]) -> list[Path]:
    import folder_paths

    folder = Path(folder_paths.get_output_directory())
    # The name is typed by a user: no part of it may lead out of the folder.
    prefix = f"memory/{Path(name).name or 'memory'}"
    full, base, counter, _, _ = folder_paths.get_save_image_path(prefix, str(folder))
    files = []
    for suffix, text in contents.items():
        path = Path(full) / f"{base}_{counter:05}_.{suffix}"
        path.write_text(text, encoding="utf-8")
        files.append(path)
    return files
