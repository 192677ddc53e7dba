"""Docstrings as they are written, in the reference.

A name in backquotes is code, and a link where the site has it. What a docstring says after "Raises" and after "Memory:"
stands with the parameters. Of a function with overloads one signature is shown, that of the most parameters.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.parsers.rst.states import Inliner
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer

NAME = re.compile(r"(?:async with |await )?([A-Za-z_][\w.]*)(?:\(.*\)|\[.*\])?(?: as \w+)?")
INSTANCES = {"socket": "rxws.ClientWebSocket", "hub": "rxws.Hub", "topics": "rxws.topics.Topics"}
"""What these variables are, wherever a docstring names one."""

FIELD = re.compile(r"(?:(?<=^)|(?<=[.;] ))(Raises|Memory:|Memory(?= as )) ?")
PROSE = re.compile(r"[`\w\"'(]")


# Names


def code(
    role: str, raw: str, text: str, line: int, inliner: Inliner, options: Any = None, content: Any = None
) -> tuple[list[nodes.Node], list[nodes.Node]]:
    """Make code of a text in backquotes, and look for what it names when all pages have been read."""
    text = text.replace("\x00", "\\")
    match = NAME.fullmatch(text)
    if match is None:
        return [nodes.literal(raw, text)], []
    env: BuildEnvironment = inliner.document.settings.env
    reference = addnodes.pending_xref(
        "", nodes.literal(raw, text), refdomain="", reftype="docstring", reftarget=match[1], refdoc=env.docname,
        refwarn=False, module=env.ref_context.get("py:module", ""), owner=env.ref_context.get("py:class", ""),
    )  # fmt: skip
    return [reference], []


def link(app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.Node) -> nodes.Node | None:
    """Link what a docstring names, if it is that of one object alone."""
    if node.get("reftype") != "docstring":
        return None
    objects = env.domains["py"].objects  # type: ignore[attr-defined]
    for name in candidates(node, objects):
        if name in objects and objects[name].objtype != "module":
            uri = app.builder.get_relative_uri(node["refdoc"], objects[name].docname)
            return nodes.reference("", "", content, internal=True, refuri=f"{uri}#{objects[name].node_id}")
    return content


def candidates(node: addnodes.pending_xref, objects: Any) -> list[str]:
    name, module, owner = node["reftarget"], node["module"], node["owner"]
    first, _, rest = name.partition(".")
    names = [f"{module}.{owner}.{name}", f"{module}.{name}", f"rxws.{name}", name]
    if rest and first in INSTANCES:
        base = "rxws.WebSocket" if first == "socket" else INSTANCES[first]
        names[:0] = [f"{INSTANCES[first]}.{rest}", f"{base}.{rest}"]
    if name[0].isupper():
        found = [other for other in objects if other.endswith(f".{name}")]
        names += found if len(found) == 1 else []
    return names


# Fields


def sort_out(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Put what a docstring says of errors and memory into fields; before Napoleon reads its section of arguments."""
    said: list[str] = []
    fields: list[str] = []
    for paragraph in paragraphs(lines):
        if PROSE.match(paragraph[0]) and not paragraph[0].startswith((">>>", "Args:", "Returns:", "Yields:")):
            head, *rest = FIELD.split(" ".join(line.strip() for line in paragraph))
            for title, text in zip(rest[::2], rest[1::2], strict=True):
                fields.append(f":{title.rstrip(':')}: {text.strip()[:1].upper()}{text.strip()[1:]}")
            paragraph = paragraph if not rest else [head.strip()] if head.strip() else []
        elif paragraph[0].strip() == "::":
            is_diagram = any("--" in line for line in paragraph)
            paragraph = [f".. code-block:: {'text' if is_diagram else 'python'}", "", *paragraph[1:]]
        said += [*paragraph, ""] if paragraph else []
    lines[:] = [*said, *fields, ""]


def paragraphs(lines: list[str]) -> Iterator[list[str]]:
    """Part a docstring at its empty lines; what is indented behind one belongs to what is before it."""
    found: list[str] = []
    for line in lines:
        if found and not found[-1].strip() and line.strip() and not line.startswith(" "):
            yield stripped(found)
            found = []
        if found or line.strip():
            found.append(line)
    if found:
        yield stripped(found)


def stripped(lines: list[str]) -> list[str]:
    while not lines[-1].strip():
        lines.pop()
    return lines


def gather(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Put all fields into one list, behind the text and before the examples; after Napoleon."""
    text: list[str] = []
    fields: list[list[str]] = []
    in_field = False
    for line in lines:
        if re.match(r":[A-Za-z][\w *\\]*:( |$)", line):
            fields.append([])
            in_field = True
        elif line.strip() and not line.startswith(" "):
            in_field = False
        if not in_field:
            text.append(line)
        elif line.strip():
            fields[-1].append(line)
    fields.sort(key=lambda field: 2 if field[0].startswith(":Memory:") else field[0].startswith(":Raises:"))
    example = next((number for number, line in enumerate(text) if line.startswith(">>>")), len(text))
    lines[:] = [*text[:example], "", *(line for field in fields for line in field), "", *text[example:]]


# Signatures


def without_overloads(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Let Sphinx know of no overloads: it would show each with all its types."""
    analyze = ModuleAnalyzer.analyze

    def analyze_without(self: ModuleAnalyzer) -> None:
        analyze(self)
        self.overloads = {}

    ModuleAnalyzer.analyze = analyze_without  # type: ignore[method-assign]


def signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None] | None:
    """Show the overload of the most parameters, with `...` for a default that depends on the overload."""
    overloads = typing.get_overloads(obj) if inspect.isfunction(obj) else []
    if not overloads:
        return None
    longest = max((inspect.signature(overload) for overload in overloads), key=lambda one: len(one.parameters))
    own = inspect.signature(obj).parameters
    shown = []
    for parameter in longest.parameters.values():
        default = own[parameter.name].default if parameter.name in own else parameter.default
        if default is parameter.empty and parameter.name not in own and parameter.kind is parameter.KEYWORD_ONLY:
            default = ...
        shown.append(parameter.replace(annotation=parameter.empty, default=default))
    text = str(longest.replace(parameters=shown, return_annotation=longest.empty))
    return text.replace("Ellipsis", "..."), None


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_role("docstring", code)
    app.connect("missing-reference", link)
    app.connect("env-before-read-docs", without_overloads)
    app.connect("autodoc-process-docstring", sort_out, priority=400)
    app.connect("autodoc-process-docstring", gather, priority=600)
    app.connect("autodoc-process-signature", signature)
    return {"version": "1", "parallel_read_safe": True}
