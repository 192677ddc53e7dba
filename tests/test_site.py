"""The site of the documentation: what `make docs-check` finds wrong. The site itself is built there."""

from pathlib import Path

from docs.check_links import main, wrong_links


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
