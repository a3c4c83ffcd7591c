"""Texts of the nodes in other languages: complete, and about the same things as the English ones.

English stands in the schemas themselves. ComfyUI serves the others from locales/<language>.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import node_schemas
import pytest
from docs_tools import HELP, ROOT

LANGUAGES = ("zh", "ja")
# Names and figures that no language translates: SDXL, Flux.2, ComfyUI, Z-Image, 2.1, -1.
NAMES = re.compile(
    r"[A-Za-z]*[.-]?\d+(?:\.\d+)*|[A-Z][A-Z_]+[A-Z]|[A-Z][a-z]+[A-Z]\w*|[A-Z][a-z]*-[A-Z]\w+"
)
SCRIPT = {"zh": r"[\u4e00-\u9fff]", "ja": r"[\u3040-\u30ff\u4e00-\u9fff]"}


@pytest.fixture
def schemas(monkeypatch):
    return node_schemas.load(monkeypatch)


def texts_of(schemas) -> Iterator[tuple[tuple[str, ...], str | None]]:
    """(keys in nodeDefs.json, English text) of everything that is shown of a node."""
    for name, schema in schemas.items():
        yield (name, "display_name"), schema.display_name
        yield (name, "description"), schema.description
        slots = [("inputs", slot.id, slot) for slot in schema.inputs]
        slots += [("outputs", str(index), slot) for index, slot in enumerate(schema.outputs)]
        for kind, key, slot in slots:
            yield (name, kind, key, "name"), slot.display_name
            yield (name, kind, key, "tooltip"), slot.tooltip


def flat(data: dict, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], str]:
    found = {}
    for key, value in data.items():
        here = (*path, key)
        found |= flat(value, here) if isinstance(value, dict) else {here: value}
    return found


def locale(language: str) -> dict[tuple[str, ...], str]:
    path = ROOT / "locales" / language / "nodeDefs.json"
    return flat(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_of_the_schemas_is_translated_and_no_other(schemas, language) -> None:
    wanted = {keys for keys, _ in texts_of(schemas)}
    given = locale(language)
    assert wanted - set(given) == set(), "missing"
    assert set(given) - wanted == set(), "of no schema"
    assert all(isinstance(text, str) and text == text.strip() != "" for text in given.values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_name_what_the_english_text_names(schemas, language) -> None:
    """A family that is new in a tooltip must be new in all of its languages."""
    given = locale(language)
    forgotten = {}
    for keys, english in texts_of(schemas):
        names = set(NAMES.findall(english or ""))
        if lost := {name for name in names if name not in given[keys]}:
            forgotten["/".join(keys)] = lost
    assert forgotten == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_options_are_called_as_they_are_shown(schemas, language) -> None:
    """The editor shows the values of a choice untranslated."""
    given = locale(language)
    for name, schema in schemas.items():
        for slot in schema.inputs:
            for option in slot.options or ():
                text = given[name, "inputs", slot.id, "tooltip"]
                assert option in text, f"{name}.{slot.id} does not explain {option!r}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_tooltips_are_in_their_language(language) -> None:
    for keys, text in locale(language).items():
        if keys[-1] in ("tooltip", "description"):
            assert re.search(SCRIPT[language], text), keys
            assert text.endswith("。"), keys
            half = re.search(rf"{SCRIPT[language]}[,;:!?()]|[,;:!?()]{SCRIPT[language]}", text)
            assert not half, f"{keys}: western punctuation"


def test_there_is_no_other_file() -> None:
    found = {path.relative_to(ROOT / "locales").as_posix() for path in ROOT.glob("locales/**/*.*")}
    assert found == {f"{language}/nodeDefs.json" for language in LANGUAGES}


@pytest.mark.parametrize("language", LANGUAGES)
def test_help_pages_say_in_every_language_what_the_english_ones_say(schemas, language) -> None:
    """Row for row, with the same names and code: ComfyUI shows <node>/<language>.md first."""
    given = locale(language)
    assert {path.parent.name for path in HELP.glob(f"*/{language}.md")} == set(schemas)
    for name in schemas:
        english = (HELP / f"{name}.md").read_text(encoding="utf-8")
        text = (HELP / name / f"{language}.md").read_text(encoding="utf-8")
        assert text.startswith(f"# {given[name, 'display_name']}\n")
        for mark in ("#", "|"):
            want, got = (re.findall(rf"^\{mark}", one, re.MULTILINE) for one in (english, text))
            assert len(got) == len(want), f"{name}: lines that begin with {mark}"
        code = {one for one in re.findall(r"`([^`]+)`", english) if one not in text}
        assert code == set(), name
        lost = {one for one in NAMES.findall(english) if one not in text}
        assert lost == set(), name


def test_no_help_page_is_of_another_language() -> None:
    assert {path.stem for path in HELP.glob("*/*.md")} == set(LANGUAGES)
