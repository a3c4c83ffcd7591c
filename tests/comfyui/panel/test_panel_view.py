"""What the panel shows, and that it can be read.

TRUETILE_PICTURES=folder keeps a picture of the editor in each theme and width.
"""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest
from browser import CHROMIUM

from truetile.live import account_view
from truetile.memory.core import Owner, ProcessUse, Readings, make_account

GIB = 2**30

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


def test_its_tab_is_there_once(panel):
    assert panel.editor.call(_TABS).count("truetile") == 1


def test_it_shows_who_holds_the_memory(panel):
    lines = panel.text().splitlines()
    shown = dict(pairwise(lines))
    assert "main memory" in lines
    assert shown["this process"].endswith(("MiB", "GiB"))
    assert shown["free"].endswith("GiB")
    # A CPU has neither: that is not the same as nothing.
    assert shown["torch slack"] == shown["other processes"] == "not available"


def test_an_account_of_a_card_is_drawn_to_scale(panel):
    owners = [
        Owner("WAN21 (dynamic pages)", "model", 9 * GIB, False),
        Owner("WanVAE", "model", GIB // 4),
    ]
    readings = Readings(
        driver_total=24 * GIB,
        driver_used=18 * GIB,
        torch_allocated=GIB,
        torch_reserved=3 * GIB,
        own_process=13 * GIB,
        others=[ProcessUse(7, "browser", 2 * GIB)],
    )
    account = make_account(readings, owners)
    told = account_view.describe("a card", account, readings, {}, ram=False)
    lines = panel.editor.call(_DRAW, {"account": told})
    shown = dict(pairwise(lines["text"].splitlines()))
    assert shown["WAN21 (dynamic pages)"] == "9.00 GiB"
    assert shown["torch slack"] == "2.00 GiB"
    assert shown["this process outside torch"] == "1.00 GiB"
    assert shown["unknown"] == "3.00 GiB"
    assert shown["free"] == "6.00 GiB"
    # 9, 1/4, 3/4 other tensors, 2 slack, 1 own, 2 of others and 3 unknown, of 24.
    # A style keeps six digits.
    parts = [9 / 24, 1 / 96, 3 / 96, 2 / 24, 1 / 24, 2 / 24, 3 / 24]
    assert lines["widths"] == pytest.approx(parts, abs=1e-6)
    assert not [word for word in ("null", "undefined", "NaN") if word in lines["text"]]


def size_of(text: str) -> float:
    """Bytes of `0`, `512 MiB` or `1.5 GiB`."""
    number, _, unit = text.partition(" ")
    return float(number) * {"": 1, "MiB": 2**20, "GiB": GIB}[unit]


@pytest.mark.parametrize("width", [1280, 2560])
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_it_fits_and_can_be_read(panel_of_runs, theme, width):
    panel, editor = panel_of_runs, panel_of_runs.editor
    editor.resize(width, 900 if width == 1280 else 1400)
    panel.theme(theme)
    panel.wait_for("document.querySelector('.truetile-panel .tt-stroke')")
    found = editor.call(_LOOK)
    assert found["overflow"] == 0 and found["cut"] == []
    assert not [text for text, contrast in found["contrasts"] if contrast < 4.5], found
    marks = [size_of(text) for text in found["marks"]]
    assert {b - a for a, b in pairwise(marks)} == {marks[1]}, found["marks"]
    if folder := os.environ.get("TRUETILE_PICTURES"):
        editor.screenshot(Path(folder) / f"panel_{theme}_{width}.png")


def test_a_run_is_followed_to_its_report(panel_of_runs):
    panel = panel_of_runs
    text = panel.text()
    assert "decode: Wan 2.1 in strips" in text
    assert "checkpoint: save" in text
    unfold = "async () => document.querySelectorAll('.truetile-panel details')[0].open = true"
    panel.editor.call(unfold)
    assert "equal to the untiled result up to rounding" in panel.text()


_TABS = "async () => app.extensionManager.sidebarTab.sidebarTabs.map((tab) => tab.id)"
# Shows a message that the server did not send, and looks before the next one that it does.
_DRAW = """async (message) => {
  comfyAPI.api.api.dispatchCustomEvent('truetile.panel', message)
  const bar = document.querySelector('.truetile-panel .tt-bar')
  const widths = [...bar.children].map((part) => parseFloat(part.style.width) / 100)
  return {widths, text: document.querySelector('.truetile-panel').innerText}
}"""
# How far the panel is wider than its place, and the contrast of each text in it.
_LOOK = """async () => {
  const panel = document.querySelector('.truetile-panel')
  const context = document.createElement('canvas').getContext('2d', {willReadFrequently: true})
  const over = (colour, below) => {
    context.fillStyle = `rgb(${below.join(' ')})`
    context.fillRect(0, 0, 1, 1)
    context.fillStyle = colour
    context.fillRect(0, 0, 1, 1)
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3)
  }
  const ground = (element) => {
    const below = element.parentElement ? ground(element.parentElement) : [255, 255, 255]
    return over(getComputedStyle(element).backgroundColor, below)
  }
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const contrasts = []
  for (const element of panel.querySelectorAll('*')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())
    if (!own || !element.checkVisibility()) continue
    const style = getComputedStyle(element)
    const below = ground(element)
    const colour = element.closest('svg') ? style.fill : style.color
    const [a, b] = [light(over(colour, below)), light(below)].sort((x, y) => y - x)
    contrasts.push([element.textContent, (a + 0.05) / (b + 0.05)])
  }
  const marks = [...panel.querySelectorAll('.tt-rule + text')].map((mark) => mark.textContent)
  const edge = panel.getBoundingClientRect().left + panel.clientLeft + panel.clientWidth
  const cut = [...panel.querySelectorAll('*')]
    .filter((element) => element.getBoundingClientRect().right > edge)
    .map((element) => element.outerHTML.slice(0, 100))
  return {overflow: panel.scrollWidth - panel.clientWidth, cut, contrasts, marks}
}"""
