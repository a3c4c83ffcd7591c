"""Checks every link and picture of a built site: its file must be there, and its anchor in it."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_ADDRESSES = {"a": "href", "link": "href", "img": "src", "script": "src", "source": "src"}
# What a reader's browser would ask another server for without being asked to.
_LOADS = ("link", "img", "script", "source")


class _Page(HTMLParser):
    """The ids and addresses of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.addresses: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids.update(value for name in ("id", "name") if (value := given.get(name)))
        if address := given.get(_ADDRESSES.get(tag, "")):
            self.addresses.append((tag, address))


def broken(site: Path) -> list[str]:
    """`page: address: what is wrong` for each bad link in the pages under `site`."""
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    found = []
    for path, page in sorted(pages.items()):
        for tag, address in page.addresses:
            if problem := _problem(site, path, pages, tag, address):
                found.append(f"{path.relative_to(site)}: {address}: {problem}")
    return list(dict.fromkeys(found))


def _problem(
    site: Path, path: Path, pages: dict[Path, _Page], tag: str, address: str
) -> str | None:
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        outside = parts.scheme in ("", "http", "https")
        return "is loaded from another server" if outside and tag in _LOADS else None
    base = site if parts.path.startswith("/") else path.parent
    target = (base / unquote(parts.path).lstrip("/")).resolve() if parts.path else path.resolve()
    if not target.is_relative_to(site.resolve()):
        return "leads out of the site"
    if target.is_dir():
        target = target / "index.html"
    if not target.is_file():
        return "no such file"
    page = pages.get(site / target.relative_to(site.resolve()))
    if parts.fragment and page is not None and unquote(parts.fragment) not in page.ids:
        return "no such anchor"
    return None
