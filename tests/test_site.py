"""The site of the documentation: what `make docs-check` finds wrong. The site itself is built there."""

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import rxws
from docs.check_links import main, wrong_links
from tests.test_architecture import PUBLIC

DOCS = Path(__file__).parent.parent / "docs"
FIXTURES = {"rxws.pytest"}
"""Modules whose docstring says all."""


def written(site: Path, **pages: str) -> Path:
    for name, body in pages.items():
        (site / f"{name}.html").write_text(f"<html><body>{body}</body></html>")
    return site


def test_good_links(tmp_path: Path) -> None:
    """Links to pages, anchors, pictures and well-formed addresses are right."""
    (tmp_path / "a picture.svg").write_text("<svg/>")
    page = '<p id="here"><a href="#here"><a href="two.html#there"><img src="a%20picture.svg"><a href="https://rx.example/a">'
    assert wrong_links(written(tmp_path, one=page, two='<p id="there">')) == []
    assert main(str(tmp_path)) == 0


def test_wrong_links(tmp_path: Path) -> None:
    """Each kind of wrong link is told, with the page that it is on."""
    page = '<p id="here"><p id="here"><a href="#gone"><a href="gone.html"><a href="two.html#gone"><a href="http:/x">'
    page += '<script src="https://cdn.example/x.js"></script><img src="gone.png"><link href="//cdn.example/x.css">'
    assert wrong_links(written(tmp_path, one=page, two="")) == [
        "one.html: the anchor #here is there twice",
        "one.html: #gone leads to no anchor",
        "one.html: gone.html leads to no file",
        "one.html: two.html#gone leads to no anchor",
        "one.html: http:/x is not https://host/path",
        "one.html: https://cdn.example/x.js is loaded from another site",
        "one.html: gone.png leads to no file",
        "one.html: //cdn.example/x.css is loaded from another site",
    ]
    assert main(str(tmp_path)) == 1


def test_empty_site(tmp_path: Path) -> None:
    """A site without pages is an error."""
    assert main(str(tmp_path)) == 1


def documented() -> dict[str, object]:
    """What the reference has, by the name it has there."""
    pages = "\n".join(path.read_text() for path in sorted((DOCS / "api").glob("*.rst")))
    names = re.findall(r"^\.\. auto(?:function|class|exception|data):: (rxws[\w.]*)", pages, re.MULTILINE)
    assert len(names) == len(set(names))
    return {name: value_of(name) for name in names}


def value_of(name: str) -> object:
    module, _, last = name.rpartition(".")
    return getattr(importlib.import_module(module), last)


def test_reference_has_all_public_names() -> None:
    """The reference has each name that the package or one of its public modules exports, and no other."""
    shown = documented()
    exported = {f"rxws.{name}": getattr(rxws, name) for name in rxws.__all__ if name not in ("codecs", "operators")}
    for module in sorted({f"rxws.{name}" for name in PUBLIC} - FIXTURES):
        loaded = importlib.import_module(module)
        exported |= {f"{module}.{name}": getattr(loaded, name) for name in loaded.__all__}
    assert [name for name, value in exported.items() if not any(value is other for other in shown.values())] == []
    assert [name for name in shown if name not in exported] == []


OBSERVER = ("on_next", "on_error", "on_completed")
"""Methods that an Observer of RxPY has."""


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """The functions of the reference, and the methods of its classes."""
    for name, value in documented().items():
        if inspect.isfunction(value) or name == "rxws.topics":
            yield name, getattr(value, "__call__", value) if name == "rxws.topics" else value  # noqa: B004
        elif isinstance(value, type) and value.__module__.startswith("rxws"):
            for method, function in vars(value).items():
                if not method.startswith("_") and inspect.isfunction(function) and method not in OBSERVER:
                    yield f"{name}.{method}", function


def own_parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """The parameters that a function is written with: `options`, and not each option."""
    code = function.__code__
    variadic = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + variadic]


INTERNAL = re.compile(r":exclude-members: (.*)")


def test_parameters_are_described() -> None:
    """The docstring of a function that the reference has says of each parameter what it is."""
    pages = "\n".join(path.read_text() for path in (DOCS / "api").glob("*.rst"))
    left_out = {name for found in INTERNAL.findall(pages) for name in found.split(", ")}
    missing = []
    for name, function in functions():
        parameters = [one for one in own_parameters(function) if one not in ("self", "cls")]
        described = re.findall(r"^ +(\w+): \S", (function.__doc__ or "").partition("Args:")[2], re.MULTILINE)
        if name.rpartition(".")[2] not in left_out:
            missing += [f"{name}: {one}" for one in parameters if one not in described]
    assert missing == []


def test_pages_are_listed() -> None:
    """Each page is in a list of contents, in docs/index.md say: what no list has nobody finds."""
    pages = [path.relative_to(DOCS) for kind in ("*.md", "*/*.md", "*/*.rst") for path in DOCS.glob(kind)]
    lists = {(DOCS / page).parent: (DOCS / page).read_text() for page in pages if page.stem == "index"}
    named = {
        str(folder.relative_to(DOCS) / line.strip())
        for folder, text in lists.items()
        for found in re.findall(r"toctree(?:}|::)\n(.*?)(?:```|\Z)", text, re.DOTALL)
        for line in found.splitlines()
    }
    assert [str(page) for page in pages if str(page.with_suffix("")) not in {*named, "index"}] == []
