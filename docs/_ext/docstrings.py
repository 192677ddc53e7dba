"""Docstrings as they are written, in the reference.

A name in backquotes is code, and a link where the site has it. What a docstring says after "Raises" and after "Memory:"
stands with the parameters. Of a function with overloads one signature is shown, that of the most parameters.
"""

from __future__ import annotations

import dataclasses
import importlib
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

import rxws
import rxws.backoff
from rxws.topics.from_url import open_topics

NAME = re.compile(r"(?:async with |await )?([A-Za-z_][\w.]*)(?:\(.*\)|\[.*\])?(?: as \w+)?")
INSTANCES = {"socket": "rxws.ClientWebSocket", "hub": "rxws.Hub", "topics": "rxws.topics.Topics"}
"""What these variables are, wherever a docstring names one."""

FIELD = re.compile(r"(?:(?<=^)|(?<=[.;] ))(Raises|Memory:|Memory(?= as )) ?")
REPR_OF_JSON = "<rxws.codecs.JsonCodec object>"
PROSE = re.compile(r"[`\w\"'(]")


# Names


def code(
    role: str, raw: str, text: str, line: int, inliner: Inliner, options: Any = None, content: Any = None
) -> tuple[list[nodes.Node], list[nodes.Node]]:
    """Make code of a text in backquotes, and look for what it names when all pages have been read."""
    text = text.replace("\x00", "\\")
    env: BuildEnvironment = inliner.document.settings.env
    if page := re.fullmatch(r"docs/([\w-]+)\.md", text):
        link_to_page = addnodes.pending_xref(
            "", nodes.literal(raw, text), refdomain="std", reftype="doc", reftarget=f"/{page[1]}", refdoc=env.docname,
            refexplicit=False, refwarn=True,
        )  # fmt: skip
        return [link_to_page], []
    match = NAME.fullmatch(text)
    if match is None:
        return [nodes.literal(raw, text)], []
    reference = addnodes.pending_xref(
        "", nodes.literal(raw, text), refdomain="", reftype="docstring", reftarget=match[1], refdoc=env.docname,
        refwarn=False, module=env.ref_context.get("py:module", ""), owner=env.ref_context.get("py:class", ""),
    )  # fmt: skip
    return [reference], []


def link(app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.Node) -> nodes.Node | None:
    """Link what a docstring names, if it is that of one object alone."""
    if node.get("reftype") != "docstring":
        return None
    objects = env.domains["py"].objects
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
    """Put what a docstring says of parameters, errors and memory into fields, behind its text, before its examples."""
    if name == "rxws.topics":
        obj = open_topics
        lines[:] = (inspect.getdoc(obj) or "").splitlines()
    text: list[str] = []
    examples: list[str] = []
    fields: list[str] = []
    last: list[str] = default_of(name)
    for paragraph in paragraphs(lines):
        if paragraph[0] == "Args:":
            fields += [*parameters(paragraph[1:]), *types(obj)]
            continue
        if paragraph[0].startswith(">>>") or examples:
            examples += [*paragraph, ""]
            continue
        if paragraph[0].strip() == "::":
            is_diagram = any("--" in line for line in paragraph)
            paragraph = [f".. code-block:: {'text' if is_diagram else 'python'}", "", *paragraph[1:]]
        elif PROSE.match(paragraph[0]):
            head, *rest = FIELD.split(" ".join(line.strip() for line in paragraph))
            for title, told in zip(rest[::2], rest[1::2], strict=True):
                field = f":{title.rstrip(':')}: {told.strip()[:1].upper()}{told.strip()[1:]}"
                last.insert(len(last) if title.startswith("Memory") else 0, field)
            paragraph = paragraph if not rest else [head.strip()] if head.strip() else []
        text += [*paragraph, ""] if paragraph else []
    lines[:] = [*text, *fields, *last, "", *examples]


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


def parameters(lines: list[str]) -> list[str]:
    """Make fields of a section of arguments."""
    fields: list[str] = []
    for line in lines:
        if found := re.match(r" {4}(\w+): (.*)", line):
            fields.append(f":param {found[1]}: {found[2]}")
        else:
            fields[-1] += f" {line.strip()}"
    return fields


def types(function: Any) -> list[str]:
    """Make fields of the types that a function with overloads has in the one that is shown."""
    shown = shown_overload(function)
    if shown is None:
        return []
    named = {name: one.annotation for name, one in shown.parameters.items() if one.annotation is not one.empty}
    fields = [f":type {name}: {plain(annotation)}" for name, annotation in named.items()]
    return [*fields, f":rtype: {plain(shown.return_annotation)}"]


def plain(annotation: str) -> str:
    return re.sub(r"Unpack\[(\w+)\]", r"\1", re.sub(r"\b(codecs|abc|tls|web)\.", "", annotation))


MADE_BY_USERS = ("rxws.Backoff", "rxws.Deflate", "rxws.Heartbeat", "rxws.options.Settings")


def default_of(name: str) -> list[str]:
    """Make a field of the default of an option."""
    owner, _, option = name.rpartition(".")
    if owner not in MADE_BY_USERS:
        return []
    module, _, kind = owner.rpartition(".")
    found = {one.name: one.default for one in dataclasses.fields(getattr(importlib.import_module(module), kind))}
    default = found.get(option, dataclasses.MISSING)
    if default is dataclasses.MISSING or (kind == "Deflate" and default is None):
        return []
    names = {id(rxws.codecs.text): "rxws.codecs.text", id(rxws.backoff.full): "rxws.backoff.full"}
    return [f":Default: `{names.get(id(default), repr(default))}`"]


# Signatures


def without_overloads(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Let Sphinx know of no overloads: it would show each with all its types."""
    analyze = ModuleAnalyzer.analyze

    def analyze_without(self: ModuleAnalyzer) -> None:
        analyze(self)
        self.overloads = {}

    ModuleAnalyzer.analyze = analyze_without


def shown_overload(function: Any) -> inspect.Signature | None:
    """Choose the overload of the most parameters, but not one for codecs by `protocols`."""
    overloads = typing.get_overloads(function) if inspect.isfunction(function) else []
    signatures = [inspect.signature(overload) for overload in overloads]
    return max(signatures, key=lambda one: ("protocols" not in one.parameters, len(one.parameters)), default=None)


def signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    """Show one signature of a function with overloads: the one that it tells of itself, or that of an overload."""
    if overload := shown_overload(obj):
        shown = inspect.signature(obj) if hasattr(obj, "__signature__") else defaults_of(overload, obj)
        plain_ones = [one.replace(annotation=one.empty) for one in shown.parameters.values()]
        told = str(shown.replace(parameters=plain_ones, return_annotation=shown.empty))
        return told.replace("Ellipsis", "..."), None
    return (signature.replace(REPR_OF_JSON, "rxws.json"), returned) if signature else None


def defaults_of(overload: inspect.Signature, function: Any) -> inspect.Signature:
    """Give an overload the defaults of the function, and `...` where it depends on the overload."""
    own = inspect.signature(function).parameters
    shown = []
    for parameter in overload.parameters.values():
        default = own[parameter.name].default if parameter.name in own else parameter.default
        if default is parameter.empty and parameter.name not in own and parameter.kind is parameter.KEYWORD_ONLY:
            default = ...
        shown.append(parameter.replace(default=default))
    return overload.replace(parameters=shown)


def public_bases(app: Sphinx, name: str, obj: type, options: Any, bases: list[Any]) -> None:
    """Show RxPY's class in the place of a private one."""
    of_rxpy = (kind for kind in obj.__mro__ if kind.__module__.startswith("reactivex"))
    bases[:] = [next(of_rxpy) if private(base) else base for base in bases]


def private(base: Any) -> bool:
    return typing.get_origin(base) is not typing.Generic and ".rx." in getattr(base, "__module__", "")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_role("docstring", code)
    app.connect("missing-reference", link)
    app.connect("env-before-read-docs", without_overloads)
    app.connect("autodoc-process-docstring", sort_out)
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-process-bases", public_bases)
    return {"version": "1", "parallel_read_safe": True}
