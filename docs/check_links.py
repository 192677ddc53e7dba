"""Check the built site: python docs/check_links.py docs/_build/html.

Each link to a page, an anchor, a picture, a style or a script of the site leads there, no anchor is there twice, and
a page loads nothing from elsewhere. Links to other sites are checked for their form: this needs no network.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {("img", "src"), ("source", "srcset"), ("script", "src"), ("link", "href"), ("iframe", "src")}
FOLLOWS = {("a", "href")}
ELSEWHERE = re.compile(r"https://([a-z0-9-]+\.)+[a-z]{2,}(:\d+)?(/[^\s\"<>]*)?(#\S*)?")


class Page(HTMLParser):
    """The anchors and the links of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.anchors: list[str] = []
        self.links: list[tuple[str, bool]] = []
        """Each with whether the page loads it."""
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.append(value)
            elif ((tag, name) in LOADS or (tag, name) in FOLLOWS) and value is not None:
                self.links.append((value, (tag, name) in LOADS))


def wrong_links(site: Path) -> list[str]:
    """Say of each link that leads nowhere on which page it is, and why."""
    pages = {path.resolve(): Page(path) for path in sorted(site.resolve().rglob("*.html"))}
    return [
        f"{page.path.relative_to(site.resolve())}: {said}" for page in pages.values() for said in wrong(page, pages)
    ]


def wrong(page: Page, pages: dict[Path, Page]) -> list[str]:
    found = [
        f"the anchor #{anchor} is there twice" for anchor in {a for a in page.anchors if page.anchors.count(a) > 1}
    ]
    for link, loads in page.links:
        url = urlsplit(link)
        if url.scheme == "data" or (url.scheme == "mailto" and not loads):
            continue
        if url.scheme or url.netloc:
            if loads:
                found.append(f"{link} is loaded from another site")
            elif not ELSEWHERE.fullmatch(link):
                found.append(f"{link} is not https://host/path")
            continue
        file = (page.path.parent / unquote(url.path)).resolve() if url.path else page.path
        if not file.is_file():
            found.append(f"{link} leads to no file")
        elif url.fragment and file in pages and unquote(url.fragment) not in pages[file].anchors:
            found.append(f"{link} leads to no anchor")
    return found


def main(site: str) -> int:
    pages = [*Path(site).rglob("*.html")]
    found = wrong_links(Path(site))
    print(*found, f"{len(pages)} pages, {len(found)} wrong links", sep="\n")
    return 1 if found or not pages else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
