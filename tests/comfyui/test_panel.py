"""The panel in ComfyUI's own editor: what it shows, what its buttons do, and that it can be silent.

TRUETILE_PICTURES=folder keeps a picture of the editor in each theme and width.
"""

from __future__ import annotations

import json
import os
import time
from itertools import pairwise
from pathlib import Path

import pytest
from browser import CHROMIUM, Editor
from panel_page import PanelPage
from server import REPOSITORY, ComfyServer, python_of_comfyui

from truetile.live import account_view
from truetile.memory.core import Owner, ProcessUse, Readings, make_account

GIB = 2**30
RUNS = json.loads((REPOSITORY / "example_workflows" / "seven_phases_small.json").read_text())

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


@pytest.fixture(scope="module")
def server(comfyui, tmp_path_factory):
    """One of its own: no checkpoint of another test may have begun to sample in it."""
    base = tmp_path_factory.mktemp("comfyui") / "base"
    running = ComfyServer(comfyui, python_of_comfyui(), base)
    try:
        running.start()
        # No dialog for new users before the page.
        running.post("/settings", {"Comfy.TutorialCompleted": True})
        yield running
    finally:
        running.stop()


def open_editor(server: ComfyServer, folder: Path) -> Editor:
    return Editor(f"http://127.0.0.1:{server.port}", folder)


@pytest.fixture(scope="module")
def editor(server, tmp_path_factory):
    with open_editor(server, tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture
def panel(editor):
    """The panel, closed again after the test, which must leave no error on the console."""
    before = len(editor.errors())
    page = PanelPage(editor)
    page.toggle(True)
    yield page
    page.toggle(False)
    # The workflow that the editor begins with names models, which it asks the internet about.
    assert [e for e in editor.errors()[before:] if "missingModelMetadata" not in e] == []


def wait_until_silent(server: ComfyServer) -> dict:
    while (state := server.get("/probe/panel"))["feeding"] or state["sampling"]:
        time.sleep(0.1)
    return state


# Those that need a process in which nothing else has begun to sample come first.


def test_nothing_runs_before_a_panel_is_opened(server, editor):
    state = server.get("/probe/panel")
    assert not state["feeding"]
    assert state["taken"] == 0


def test_closing_stops_its_traffic(server, editor):
    page = PanelPage(editor)
    page.toggle(True)
    page.wait_for("truetileFrames > 3")
    state = server.get("/probe/panel")
    assert state["feeding"] and state["sampling"] and state["taken"]
    page.toggle(False)
    taken, frames = wait_until_silent(server)["taken"], page.frames()
    time.sleep(3)
    assert page.frames() == frames
    assert server.get("/probe/panel")["taken"] == taken
    page.toggle(True)
    page.wait_for(f"truetileFrames > {frames}")
    page.toggle(False)
    wait_until_silent(server)


def test_a_page_that_nobody_looks_at_is_silent_and_comes_back(server, panel):
    hide = """async (hidden) => {
      Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden})
      document.dispatchEvent(new Event('visibilitychange'))
    }"""
    panel.editor.call(hide, True)
    wait_until_silent(server)
    frames = panel.frames()
    panel.editor.call(hide, False)
    panel.wait_for(f"truetileFrames > {frames}")


def test_a_browser_that_is_gone_is_forgotten(server, tmp_path):
    with open_editor(server, tmp_path) as running:
        PanelPage(running).toggle(True)
        assert server.get("/probe/panel")["feeding"]
    wait_until_silent(server)


def test_a_lease_that_nobody_renews_runs_out(server):
    socket = server.listen()
    told = server.post("/truetile/panel/open", {"client": server.client_id})
    began = time.monotonic()
    wait_until_silent(server)
    assert time.monotonic() - began > told["lease_seconds"] - 1
    socket.close()


@pytest.mark.parametrize("manager", ["undefined", "{}"])
def test_an_older_editor_has_no_panel_and_no_error(panel, manager):
    """Its extensions get an `app` without a sidebar for them."""
    panel.toggle(False)
    asked = panel.editor.call(_OLDER, manager)
    assert asked == []


def test_an_editor_that_does_not_tell_of_closing_is_noticed(server, panel):
    panel.toggle(False)
    wait_until_silent(server)
    panel.editor.call(_OLDER, "{registerSidebarTab: (tab) => { window.olderTab = tab }}")
    panel.editor.call("""async () => {
      window.place = document.body.appendChild(document.createElement('div'))
      olderTab.render(place)
    }""")
    panel.wait_for("place.querySelector('.tt-legend')")
    assert server.get("/probe/panel")["feeding"]
    panel.editor.call("async () => place.remove()")
    wait_until_silent(server)


def test_messages_wait_for_the_answer_that_they_continue(panel):
    panel.toggle(False)
    panel.editor.call("""async () => {
      const api = comfyAPI.api.api, ask = api.fetchApi
      const before = truetileFrames
      api.fetchApi = async (path, options) => {
        const answer = await ask.call(api, path, options)
        while (path.endsWith('/open') && truetileFrames < before + 3) {
          await new Promise((done) => setTimeout(done, 50))
        }
        if (path.endsWith('/open')) delete api.fetchApi
        return answer
      }
    }""")
    panel.toggle(True)
    panel.wait_for("document.querySelector('.truetile-panel .tt-stroke')")


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
def test_it_fits_and_can_be_read(panel, tmp_path, theme, width):
    editor = panel.editor
    editor.resize(width, 900 if width == 1280 else 1400)
    panel.theme(theme)
    if "decode:" not in panel.text():
        editor.call("async (document) => { await app.loadGraphData(document) }", RUNS)
        editor.call("async () => { await app.queuePrompt(0) }")
        panel.wait_for("document.querySelector('.tt-running')")
        panel.wait_for("document.querySelectorAll('.truetile-panel summary').length >= 5")
    panel.wait_for("document.querySelector('.truetile-panel .tt-stroke')")
    found = editor.call(_LOOK)
    assert found["overflow"] == 0 and found["cut"] == []
    assert not [text for text, contrast in found["contrasts"] if contrast < 4.5], found
    marks = [size_of(text) for text in found["marks"]]
    assert {b - a for a, b in pairwise(marks)} == {marks[1]}, found["marks"]
    if folder := os.environ.get("TRUETILE_PICTURES"):
        editor.screenshot(Path(folder) / f"panel_{theme}_{width}.png")


def test_a_run_is_followed_to_its_report(panel):
    text = panel.text()
    assert "decode: Wan 2.1 in strips" in text
    assert "checkpoint: save" in text
    unfold = "async () => document.querySelectorAll('.truetile-panel details')[0].open = true"
    panel.editor.call(unfold)
    assert "equal to the untiled result up to rounding" in panel.text()


def test_convert_opens_the_converted_workflow_beside_the_original(panel):
    editor = panel.editor
    editor.call(_STOCK_WORKFLOW)
    tabs = "app.extensionManager.workflow.openWorkflows.length"
    types = "async () => app.graph.nodes.map((node) => node.type)"
    before, count = editor.call(types), editor.call(f"async () => {tabs}")
    said = panel.press("Convert workflow")
    after = editor.call(types)
    assert "VAEDecode -> TrueTileVAEDecode" in said
    assert "VAEDecode" in before and "VAEDecode" not in after
    assert "TrueTileVAEDecode" in after and "MemoryCheckpoint" not in after
    assert editor.call(f"async () => {tabs}") == count + 1
    assert panel.press("Convert workflow").startswith("Nothing to convert here.")
    editor.call(_STOCK_WORKFLOW)
    editor.call("async () => document.querySelector('.truetile-panel input').click()")
    panel.press("Convert workflow")
    assert "MemoryCheckpoint" in editor.call(types)


def test_verify_offload_gives_a_verdict(panel):
    said = panel.press("Verify offload")
    assert said.startswith("PASS")
    assert "nothing to offload: without a GPU" in said
    panel.wait_for("document.querySelector('.truetile-panel').innerText.includes('offload: asked')")


def test_free_memory_measures_each_step(panel):
    said = panel.press("Free memory").splitlines()
    assert said[0].startswith("Free: ")
    assert said[1].startswith("collect garbage: ")


def test_copy_report_puts_it_on_the_clipboard(panel):
    panel.editor.allow_clipboard()
    assert panel.press("Copy report").startswith("Copied ")
    text = panel.editor.call("async () => navigator.clipboard.readText()")
    assert "TrueTile decode" in text
    assert "main memory: this process" in text


# Runs the extension's own file with an `app` of the given manager; what it asked the server for.
_OLDER = """async (manager) => {
  const url = (text) => URL.createObjectURL(new Blob([text], {type: 'text/javascript'}))
  const app = url(`export const app = {
    extensionManager: ${manager},
    registerExtension: (extension) => { window.olderExtension = extension },
  }`)
  const base = `${location.origin}/extensions/truetile/`
  const source = await (await fetch(`${base}truetile.js`)).text()
  const older = source.replace('../../scripts/app.js', app)
    .replace('../../scripts/api.js', `${location.origin}/scripts/api.js`)
    .replace('./panel/', `${base}panel/`)
  await import(url(older))
  const before = performance.getEntriesByType('resource').length
  await olderExtension.setup()
  const asked = performance.getEntriesByType('resource').slice(before).map((one) => one.name)
  return asked.filter((name) => name.includes('/truetile/'))
}"""
_TABS = "async () => app.extensionManager.sidebarTab.sidebarTabs.map((tab) => tab.id)"
# Shows a message that the server did not send, and looks before the next one that it does.
_DRAW = """async (message) => {
  comfyAPI.api.api.dispatchCustomEvent('truetile.panel', message)
  const bar = document.querySelector('.truetile-panel .tt-bar')
  const widths = [...bar.children].map((part) => parseFloat(part.style.width) / 100)
  return {widths, text: document.querySelector('.truetile-panel').innerText}
}"""
_STOCK_WORKFLOW = """async () => {
  await app.loadGraphData({version: 0.4, nodes: [], links: [], last_node_id: 0, last_link_id: 0})
  const kinds = ['EmptyLatentImage', 'VAELoader', 'VAEDecode', 'PreviewImage']
  const nodes = kinds.map((kind) => LiteGraph.createNode(kind))
  nodes.forEach((node, at) => { app.graph.add(node); node.pos = [at * 400, 100] })
  const [latent, loader, decode, preview] = nodes
  latent.connect(0, decode, 0)
  loader.connect(0, decode, 1)
  decode.connect(0, preview, 0)
}"""
# The editor as extensions of `missing`'s time see it: they get `app` from its script.
_WITHOUT = """(() => {
  const missing = '%s'
  let real
  Object.defineProperty(window, 'app', {
    configurable: true,
    get: () => real,
    set(app) {
      real = app
      let manager
      Object.defineProperty(app, 'extensionManager', {
        configurable: true,
        set: (value) => { manager = value },
        get: () => {
          const old = new Error().stack.includes('/extensions/truetile/')
          if (!old || !manager) return manager
          window.askedByTrueTile = true
          if (missing === 'extensionManager') return undefined
          return new Proxy(manager, {get: (t, key) => key === missing ? undefined : t[key]})
        },
      })
    },
  })
})()"""
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
