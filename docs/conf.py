"""Settings of Sphinx: `make docs`, or without running the gallery with ARGS="-D plot_gallery=0"."""

import importlib.util
import sys
from pathlib import Path

import skgan
import skgan.methods

DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "examples"
sys.path.insert(0, str(DOCS / "_ext"))

project = "skgan"
author = "the skgan developers"
copyright = "2026, the skgan developers"
version = release = skgan.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "plain_docstrings",
]
exclude_patterns = ["_build", "_templates", "_ext"]
templates_path = ["_templates"]

# ---------------------------------------------------------------- pages written in Markdown

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

# ---------------------------------------------------------------- the reference, a page for a name

numpydoc_show_class_members = False
autosummary_generate = True
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
# A class that is shown in `skgan` but lives in `skgan.methods` belongs on the page too.
autosummary_imported_members = True

# The page that explains a class or function; its page of the reference links there.
_guide = {
    "guide/images": ["skgan.LazyImages"],
    "guide/networks": ["skgan.DCGANSpec", "skgan.MLPSpec"],
    "guide/files": ["skgan.load"],
    "get_started/worth": ["skgan.evaluation.probe", "skgan.evaluation.ProbeResult"],
    "guide/few_labels": [
        "skgan.semi_supervised.FewLabelClassifier",
        "skgan.semi_supervised.LabelledFold",
        "skgan.evaluation.LabelBudgetSplit",
    ],
    "guide/outliers": ["skgan.tools.GANOutlierDetector"],
    "guide/projection": ["skgan.tools.GANProjector", "skgan.inspection.edit_app"],
    "guide/nullspace": ["skgan.tools.NullSpaceProjector"],
    "guide/patches": ["skgan.tools.RandomPatchFeatures"],
    "guide/codes": [
        "skgan.tools.attribute_vectors",
        "skgan.tools.combine_codes",
        "skgan.tools.draw_codes",
        "skgan.tools.find_near_duplicates",
        "skgan.tools.generate",
        "skgan.tools.interpolate_codes",
        "skgan.tools.memorisation_check",
        "skgan.tools.move_codes",
        "skgan.tools.nearest_real",
        "skgan.tools.turn_vector",
    ],
    "guide/inside": [
        "skgan.inspection.FeatureMapDisplay",
        "skgan.inspection.FilterActivity",
        "skgan.inspection.FilterActivityDisplay",
        "skgan.inspection.FilterResponseDisplay",
        "skgan.inspection.GuidedBackpropDisplay",
        "skgan.inspection.LabelBudgetDisplay",
        "skgan.inspection.ObjectFilters",
        "skgan.inspection.ProbeTableDisplay",
        "skgan.inspection.guided_backprop",
        "skgan.inspection.oscillating_filters",
        "skgan.inspection.untrained_copy",
    ],
    "guide/training_curve": ["skgan.inspection.HistoryDisplay"],
    "guide/callbacks": ["skgan.callbacks.JSONLLogger", "skgan.callbacks.CollapseGuard"],
    "guide/other_domains": [
        "skgan.evaluation.ReverseValidation",
        "skgan.evaluation.domain_leak",
        "skgan.evaluation.proxy_a_distance",
    ],
}
_methods = {
    f"skgan.{name}": f"methods/{getattr(skgan, name).__module__.rpartition('.')[2]}"
    for name in skgan.methods.__all__
}
# (autosummary has a name "methods" of its own.)
autosummary_context = {
    "method_pages": _methods,
    "guide_pages": {name: page for page, names in _guide.items() for name in names},
}

# ---------------------------------------------------------------- the gallery

# It runs every examples/plot_*.py, one after the other, where its heading exists.
gallery_exists = (EXAMPLES / "GALLERY_HEADER.rst").exists()
if gallery_exists and importlib.util.find_spec("sphinx_gallery"):
    extensions.append("sphinx_gallery.gen_gallery")
    sphinx_gallery_conf = {
        "examples_dirs": str(EXAMPLES),
        "gallery_dirs": "auto_examples",
        "filename_pattern": r"/plot_",
        # demo.py takes minutes, so it is not run here.
        "ignore_pattern": r"(__init__|demo)\.py",
        # `examples/papers` and `examples/benchmarks` hold scripts that take hours.
        "nested_sections": False,
        "within_subsection_order": "gallery_order.GalleryOrder",
        "backreferences_dir": "reference/backreferences",
        "doc_module": ("skgan",),
        "reference_url": {"skgan": None},
        "parallel": False,
        "show_signature": False,
        "remove_config_comments": True,
        "download_all_examples": False,
        "min_reported_time": 1,
    }

# ---------------------------------------------------------------- how it looks

html_theme = "pydata_sphinx_theme"
html_title = f"skgan {release}"
html_static_path = ["_static"]
html_css_files = ["skgan.css"]
html_show_sourcelink = False
html_sidebars = {"index": []}
html_theme_options = {
    "logo": {"text": "skgan"},
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_nav_level": 1,
    "navigation_depth": 3,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
