"""The site of the documentation: `make docs` builds and serves it."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

import rxws  # noqa: E402 - it is found on the path above

project = "rxws"
author = "The rxws authors"
project_copyright = "The rxws authors, MIT"
version = release = rxws.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "repository",
    "states",
    "docstrings",
]
exclude_patterns = ["_build", "_ext"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
default_role = "docstring"
nitpicky = False
language = "en"

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist", "substitution"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_default_options = {"members": True}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"rxws {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#7c3aed", "color-brand-content": "#6d28d9"},
    "dark_css_variables": {"color-brand-primary": "#c4b5fd", "color-brand-content": "#a78bfa"},
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
copybutton_exclude = ".linenos, .gp, .go"
