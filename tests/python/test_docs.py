"""The documentation: the site builds without a warning, and says something about everything."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET

import node_schemas
import pytest
from docs_tools import HELP, ROOT, bar_chart, build, cli_page, links, plots
from messages import literals

needs_site = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="the site's generator needs Python 3.11"
)
SOURCES = (
    "docs", "comfy_nodes/web/docs", "example_workflows", "truetile/*.py", "zensical.toml",
)  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A copy of what the site is built from: two tests at once must not share a folder."""
    root = tmp_path_factory.mktemp("docs")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *SOURCES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.splitlines():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    return root


@needs_site
def test_the_site_builds_without_a_warning_or_a_broken_link(site) -> None:
    assert build.build(site) == []
    pages = {path.parent.name for path in site.rglob("site/docs/**/index.html")}
    assert {page.stem for page in (site / "docs").glob("*.md")} - {"index"} <= pages
    python = (site / ".venv/site/docs/python/index.html").read_text()
    assert "Decodes latents to pixels" in python


@needs_site
def test_a_warning_or_a_broken_link_is_an_error(site) -> None:
    page = site / "docs" / "demo_vae.md"
    before = page.read_text()
    try:
        page.write_text(before + "\n[nowhere](no_such_page.md)\n")
        assert any("does not exist" in line for line in build.build(site))
        page.write_text(before + '\n<img src="pictures/no_such.webp">\n')
        assert any("no_such.webp: no such file" in line for line in build.build(site))
    finally:
        page.write_text(before)


def test_every_page_is_in_the_navigation() -> None:
    listed = (ROOT / "zensical.toml").read_text()
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    left_out = {page for page in pages if f'"{page}"' not in listed} - {"pictures/README.md"}
    assert not left_out, "add them to nav in zensical.toml"


def test_links_are_checked(tmp_path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "index.html").write_text('<h1 id="top">A</h1><a href="#top">up</a>')
    page = tmp_path / "index.html"
    good = '<a href="a/#top"></a><a href="a/"></a><a href="https://x.org/"></a><a href="#t" id="t">'
    page.write_text(good)
    assert links.broken(tmp_path) == []
    for bad, problem in {
        '<a href="b/">': "no such file",
        '<a href="a/#bottom">': "no such anchor",
        '<a href="../secret.html">': "leads out of the site",
        '<script src="https://cdn.example/x.js">': "is loaded from another server",
        '<img src="//cdn.example/x.png">': "is loaded from another server",
    }.items():
        page.write_text(good + bad)
        assert [line.rpartition(": ")[2] for line in links.broken(tmp_path)] == [problem]


def test_every_node_has_its_help_page(monkeypatch) -> None:
    schemas = node_schemas.load(monkeypatch)
    assert len(schemas) >= 6
    assert {path.stem for path in HELP.glob("*.md")} == set(schemas)
    for name, schema in schemas.items():
        text = (HELP / f"{name}.md").read_text()
        assert text.startswith(f"# {schema.display_name}\n")
        missing = [slot.id for slot in schema.inputs if f"`{slot.id}`" not in text]
        assert not missing, f"{name}.md does not explain {missing}"
        page = ROOT / "docs" / "nodes" / f"{name}.md"
        assert page.read_text() == f'--8<-- "comfy_nodes/web/docs/{name}.md"\n'
        assert f"({name}.md)" in (ROOT / "docs/nodes/index.md").read_text()


def test_every_command_and_option_is_in_the_reference() -> None:
    text = cli_page.text()
    named = dict(cli_page.parsers())
    assert {"truetile convert", "truetile doctor", "truetile memory watch"} <= set(named)
    for name, parser in named.items():
        section = text.partition(f"## `{name}`\n")[2].partition("\n## ")[0]
        assert section, f"{name} is missing"
        for action in parser._actions:
            if not isinstance(action, argparse._HelpAction):
                for option in action.option_strings or [action.metavar or action.dest]:
                    assert re.search(rf"^\| `.*{re.escape(option)}", section, re.MULTILINE), option
                assert action.help, f"{name} {action.dest} has no help"


def test_commands_of_the_guides_exist() -> None:
    """What a guide tells to type is taken by the parser's own list of commands."""
    known = {name.split()[1] for name, _ in cli_page.parsers()}
    for page in [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", *HELP.glob("*.md")]:
        used = set(re.findall(r"(?:`|^)truetile ([a-z]+)", page.read_text(), re.MULTILINE))
        assert used <= known, f"{page.name}: {used - known}"


def test_plots_show_the_measured_figures(tmp_path) -> None:
    plots.write(tmp_path)
    text = (tmp_path / "exact_seconds.svg.html").read_text()
    assert "\n\n" not in text
    drawn = [node.text for node in ET.fromstring(text).iter() if node.tag.endswith("text")]
    assert "TrueTile exact" in drawn and "Qwen-Image decode 2048x2048" in drawn
    assert {path.stem for path in tmp_path.iterdir()} == {
        "attention.svg", "blended_error.svg", "blended_seconds.svg", "exact_error.svg",
        "exact_peak.svg", "exact_seconds.svg", "kernels.svg",
    }  # fmt: skip


def test_a_bar_is_as_long_as_its_value() -> None:
    series = (bar_chart.Series("a", "#111"), bar_chart.Series("b", "#222"))
    groups = [bar_chart.Group("one", (4.0, 1.0)), bar_chart.Group("two", (None, 2.0))]
    drawing = ET.fromstring(bar_chart.bar_chart("t", series, groups))
    bars = [node for node in drawing if node.tag == "rect"][len(series) :]
    widths = [float(bar.attrib["width"]) for bar in bars]
    assert [width / widths[0] for width in widths] == pytest.approx([1, 0.25, 0.5], abs=1e-3)
    with pytest.raises(ValueError, match=r"groups=\['one'\]: must have 2 values"):
        bar_chart.bar_chart("t", series, [bar_chart.Group("one", (1.0,))])


def test_explained_messages_are_those_of_the_code() -> None:
    """Each piece of a message between the figures stands in some text of the code."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    cells = re.findall(r"^\| (`.+?) \|", page, re.MULTILINE)
    messages = [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]
    assert len(messages) > 30
    texts = literals()
    known = (  # ComfyUI's, the system's, pip's and CMake's
        "IMPORT FAILED",
        "Connection refused",
        "truetile",
        "No module named 'scikit_build_core'",
        "CMAKE_CXX_COMPILER not set",
        "Could NOT find Python (missing: Interpreter Development.Module)",
    )
    unknown = []
    for message in messages:
        pieces = [piece.strip() for piece in re.split(r"\.\.\.|\d+|(?<=verdict: )", message)]
        for piece in pieces:
            if len(piece) > 3 and not any(piece in text for text in (*texts, *known)):
                unknown.append(piece)
    assert not unknown


def test_links_of_the_readme_lead_somewhere() -> None:
    """Pages that are read where they lie; those of the site are checked when it is built."""
    for page in (ROOT / "README.md", ROOT / "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"
