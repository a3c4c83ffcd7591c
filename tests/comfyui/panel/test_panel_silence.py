"""When the panel's server reads and sends: only while a panel is looked at."""

from __future__ import annotations

import time

import pytest
from browser import CHROMIUM, Editor
from panel_page import PanelPage
from server import ComfyServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


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
    with Editor(server.address, tmp_path) as running:
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
