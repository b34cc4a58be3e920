"""Settings of Sphinx. Build with `make docs`."""

import importlib.util
from pathlib import Path

import skgan

DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "examples"

project = "skgan"
author = "the skgan developers"
copyright = "2026, the skgan developers"
version = release = skgan.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
exclude_patterns = ["_build"]
html_theme = "pydata_sphinx_theme"
html_title = f"skgan {release}"
numpydoc_show_class_members = False
myst_heading_anchors = 2

# The gallery runs every examples/plot_*.py. It is built only where its heading,
# examples/GALLERY_HEADER.rst, exists.
gallery_exists = (EXAMPLES / "GALLERY_HEADER.rst").exists()
if gallery_exists and importlib.util.find_spec("sphinx_gallery"):
    extensions.append("sphinx_gallery.gen_gallery")
    sphinx_gallery_conf = {
        "examples_dirs": str(EXAMPLES),
        "gallery_dirs": "auto_examples",
        "filename_pattern": r"/plot_",
        # demo.py takes minutes, so it is not run here.
        "ignore_pattern": r"(__init__|demo)\.py",
    }
