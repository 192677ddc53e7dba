"""Pages of the site for files of the repository that the documents link to: sources, scripts, notebooks, readmes.

On GitHub such links lead to the file. On the site they lead to a page that shows it.
"""

from __future__ import annotations

import html
import json
import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from markdown_it import MarkdownIt
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.highlighting import PygmentsBridge
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.osutil import copyfile, ensuredir

LANGUAGES = {".py": "python", ".sh": "bash", ".js": "javascript", ".html": "html", ".toml": "toml", ".json": "json"}
PICTURES = (".svg", ".png")
URL = re.compile(r"(href|src|srcset)=\"(?!https?:|mailto:|#)([^\"#]+)(#[^\"]*)?\"")
Page = tuple[str, dict[str, Any], str]

logger = logging.getLogger(__name__)


def page_of(path: str) -> str:
    """Name the page that shows a file."""
    return "index" if path == "README.md" else f"repository/{path}"


class LinksToFiles(SphinxTransform):
    """Turns what MyST would offer for download into a link to the file's page."""

    default_priority = 200

    def apply(self, **_: Any) -> None:
        here = posixpath.dirname(posixpath.join("docs", self.env.docname))
        for node in list(self.document.findall(addnodes.download_reference)):
            path = posixpath.normpath(posixpath.join(here, node["reftarget"]))
            if not path.startswith("docs/"):
                self.replace(node, path)
        for node in list(self.document.findall(addnodes.pending_xref)):
            target = node["reftarget"]
            if node.get("refdomain") == "doc" and posixpath.isabs(target):
                self.replace(node, f"{Path(target).relative_to(root(self.app))}.md", node["reftargetid"])
            elif node.get("reftype") == "myst" and target.endswith("/"):
                self.replace(node, posixpath.normpath(posixpath.join(here, target, "README.md")))

    def replace(self, node: nodes.Element, path: str, anchor: str | None = None) -> None:
        if not (root(self.app) / path).is_file():
            logger.warning("%s is not in the repository", path, location=node)
            return
        if page_of(path) != "index":
            files(self.env)[path] = None
        up = "../" * self.env.docname.count("/")
        inner = [nodes.literal("", child.astext()) if isinstance(child, nodes.literal) else child for child in node[0]]
        url = f"{up}{page_of(path)}.html" + (f"#{anchor}" if anchor else "")
        node.replace_self(nodes.reference("", "", *inner, refuri=url, internal=True))


def root(app: Sphinx) -> Path:
    return Path(app.srcdir).parent


def files(env: Any) -> dict[str, None]:
    if not hasattr(env, "rxws_files"):
        env.rxws_files = {}
    return env.rxws_files


def pages(app: Sphinx) -> Iterator[Page]:
    """Make a page of each file that is linked to, and of those that these link to in their turn."""
    shown: set[str] = set()
    waiting = list(files(app.env))
    while waiting:
        path = waiting.pop()
        if path in shown:
            continue
        shown.add(path)
        body, links = show(app, path)
        waiting += links
        yield page_of(path), {"title": path, "body": body, "parents": [], "toc": "", "display_toc": False}, "page.html"


def show(app: Sphinx, path: str) -> tuple[str, list[str]]:
    """Render a file, and name the files that it links to."""
    text = (root(app) / path).read_text()
    heading = f"<p class='repository-path'><code>{html.escape(path)}</code></p>"
    if path.endswith(".md"):
        return relinked(app, path, rendered(app, text))
    if path.endswith(".ipynb"):
        return heading + "".join(cells(app, json.loads(text))), []
    return heading + highlighted(app, text, LANGUAGES.get(Path(path).suffix, "text")), []


def highlighted(app: Sphinx, text: str, language: str) -> str:
    bridge: PygmentsBridge = app.builder.highlighter
    return bridge.highlight_block(text, language)


def rendered(app: Sphinx, text: str) -> str:
    """Render Markdown as the theme has it."""

    def highlight(code: str, language: str, _: str) -> str:
        return highlighted(app, code, language or "text")

    body = MarkdownIt("gfm-like", {"linkify": False, "highlight": highlight}).render(text)
    body = re.sub(r"<pre><code[^>]*>(<div.*?</div>)\s*</code></pre>", r"\1", body, flags=re.DOTALL)
    body = re.sub(r"<code>", '<code class="docutils literal notranslate">', body)
    body = body.replace("<table>", '<div class="table-wrapper"><table class="docutils">')
    return body.replace("</table>", "</table></div>")


def cells(app: Sphinx, notebook: dict[str, Any]) -> Iterator[str]:
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield rendered(app, source)
        elif source.strip():
            yield highlighted(app, source, "python")


def relinked(app: Sphinx, path: str, body: str) -> tuple[str, list[str]]:
    """Make links of a document in the repository lead to pages of the site."""
    links: list[str] = []
    here = page_of(path)

    def relink(match: re.Match[str]) -> str:
        attribute, target, anchor = match.groups("")
        file = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        if (root(app) / file).is_dir():
            file += "/README.md"
        if not (root(app) / file).is_file():
            logger.warning("%s links to %s, which is not in the repository", path, file)
            return match[0]
        if file.endswith(PICTURES):
            url = f"_images/{file}"
            ensuredir(os.path.dirname(os.path.join(app.outdir, url)))
            copyfile(root(app) / file, os.path.join(app.outdir, url), force=True)
        elif file.startswith("docs/") and file.endswith(".md"):
            url = f"{file[5:-3]}.html"
        elif page_of(file) == "index":
            url = "index.html"
        else:
            links.append(file)
            url = f"{page_of(file)}.html"
        return f'{attribute}="{posixpath.relpath(url, posixpath.dirname(here))}{anchor}"'

    return URL.sub(relink, body), links


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_transform(LinksToFiles)
    app.connect("html-collect-pages", pages)
    return {"version": "1", "parallel_read_safe": False, "env_version": 1}
