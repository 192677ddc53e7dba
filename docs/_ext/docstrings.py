"""Docstrings as they are written, in the reference: a name in backquotes is code, and a link where the site has it."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.parsers.rst.states import Inliner
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

NAME = re.compile(r"(?:async with |await )?([A-Za-z_][\w.]*)(?:\(.*\)|\[.*\])?(?: as \w+)?")
INSTANCES = {"socket": "rxws.ClientWebSocket", "hub": "rxws.Hub", "topics": "rxws.topics.Topics"}
"""What these variables are, wherever a docstring names one."""


def code(
    role: str, raw: str, text: str, line: int, inliner: Inliner, options: Any = None, content: Any = None
) -> tuple[list[nodes.Node], list[nodes.Node]]:
    """Make code of a text in backquotes, and look for what it names when all pages have been read."""
    text = text.replace("\x00", "\\")
    literal = nodes.literal(raw, text, classes=["xref", "py", "py-obj"])
    match = NAME.fullmatch(text)
    if match is None:
        return [nodes.literal(raw, text)], []
    env: BuildEnvironment = inliner.document.settings.env
    reference = addnodes.pending_xref(
        "", literal, refdomain="rxws", reftype="name", reftarget=match[1], refdoc=env.docname, refwarn=False,
        module=env.ref_context.get("py:module", ""), owner=env.ref_context.get("py:class", ""),
    )  # fmt: skip
    return [reference], []


def link(app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.Node) -> nodes.Node | None:
    """Link what a docstring names, if it is that of one object alone."""
    if node.get("refdomain") != "rxws":
        return None
    objects = env.domains["py"].objects  # type: ignore[attr-defined]
    for name in candidates(node, objects):
        if name in objects and objects[name].objtype != "module":
            target = objects[name]
            if target.node_id:
                uri = app.builder.get_relative_uri(node["refdoc"], target.docname)
                return nodes.reference("", "", content, internal=True, refuri=f"{uri}#{target.node_id}")
    return nodes.literal("", content.astext())


def candidates(node: addnodes.pending_xref, objects: Any) -> list[str]:
    name, module, owner = node["reftarget"], node["module"], node["owner"]
    first, _, rest = name.partition(".")
    names = [f"{owner}.{name}", f"{module}.{owner}.{name}", f"{module}.{name}", f"rxws.{name}", name]
    if rest and first in INSTANCES:
        names.insert(0, f"{INSTANCES[first]}.{rest}")
    if name[0].isupper():
        found = [other for other in objects if other.endswith(f".{name}")]
        names += found if len(found) == 1 else []
    return names


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_role("rxws", code)
    app.connect("missing-reference", link)
    app.add_config_value("rxws_docstrings", True, "env")
    return {"version": "1", "parallel_read_safe": True}
