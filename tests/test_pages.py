"""Every Python block of README.md and of a page of docs/ runs, those of a page in turn.

Every method has a page, every example is named on one, and every public name is in the reference.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import skgan.callbacks
import skgan.datasets
import skgan.evaluation
import skgan.inspection
import skgan.methods
import skgan.semi_supervised
import skgan.tools

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = sorted(
    page for page in ROOT.glob("docs/**/*.md")
    if not {"_build", "auto_examples", "generated"} & set(page.relative_to(ROOT).parts)
)  # fmt: skip
# scikit-learn has callbacks from 1.9 on.
OPTIONAL = {
    "dask",
    "mlxtend",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "pandas",
    "polars",
    "skops",
    "rich",
    "zarr",
    "sklearn.callback",
    "tensorboard",
}


def python_blocks(text: str) -> list[tuple[int, str]]:
    """(line of the first statement, source) of every fenced ```python block."""
    fences = re.finditer(r"^```python[ \t]*\n(.*?)^```[ \t]*$", text, re.MULTILINE | re.DOTALL)
    return [(text[: m.start(1)].count("\n") + 1, m.group(1)) for m in fences]


def run_blocks(page: Path, blocks: list[tuple[int, str]], namespace: dict) -> None:
    """Run them in turn; skip at the end if one of them needs what is not installed."""
    missing = set()
    for line, source in blocks:
        # Blank lines in front, so that a traceback shows the line of the page.
        code = compile("\n" * (line - 1) + source, str(page), "exec")
        try:
            exec(code, namespace)
        except ModuleNotFoundError as error:
            name = error.name or ""
            if not {name, name.split(".")[0]} & OPTIONAL:
                raise
            missing.add(f"line {line} needs {name}")
    if missing:
        pytest.skip(f"{page.name}: {', '.join(sorted(missing))}; the other blocks ran")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def text_of(page: str | Path) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [README, *PAGES], ids=name_of)
def test_no_fence_is_overlooked(page):
    text = page.read_text(encoding="utf-8")
    assert len(python_blocks(text)) == text.count("```python")


@pytest.mark.parametrize(
    "page", [p for p in (README, *PAGES) if python_blocks(text_of(p))], ids=name_of
)
def test_the_blocks_of_a_page_run_in_turn(page):
    run_blocks(page, python_blocks(text_of(page)), {"__name__": "__main__"})


def test_the_readme_is_short_and_shows_code_a_picture_and_a_table():
    text = text_of(README)
    assert len(text.splitlines()) <= 120
    assert python_blocks(text) and "](docs/_static/" in text and "\n|---|" in text


METHODS = {
    name: getattr(skgan, name).__module__.rpartition(".")[2] for name in skgan.methods.__all__
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_its_page_and_its_row(name):
    page = f"{METHODS[name]}.md"
    text = text_of(f"docs/methods/{page}")
    names = [other for other in METHODS if METHODS[other] == METHODS[name]]
    assert text.startswith(f"# {' and '.join(names)}\n")
    assert f"{{class}}`skgan.{name}`" in text, "no link to the reference"
    assert f"[`{name}`]({page})" in text_of("docs/methods/index.md")
    assert re.search(rf"^{page.removesuffix('.md')}$", text_of("docs/methods/index.md"), re.M)


@pytest.mark.parametrize("name", METHODS)
def test_every_page_of_a_method_has_the_same_sections(name):
    sections = re.findall(r"^## (.*)$", text_of(f"docs/methods/{METHODS[name]}.md"), re.MULTILINE)
    for section in ("The game", "The paper's figures and ours", "Parameters that matter", "Cost",
                    "Pitfalls", "How to read it"):  # fmt: skip
        assert section in sections


def test_every_example_of_the_gallery_is_named_and_linked_on_a_page():
    """That of its method, or for a tool the page that explains it."""
    examples = sorted(ROOT.glob("examples/plot_*.py"))
    assert len(examples) >= 15
    for example in examples:
        page = ROOT / "docs" / "methods" / f"{example.stem.removeprefix('plot_')}.md"
        pages = [page] if page.exists() else ROOT.glob("docs/g*/*.md")
        link = f"](../auto_examples/{example.stem}.rst)"
        assert any(link in text_of(p) for p in pages), example.name


MODULES = [skgan, skgan.callbacks, skgan.datasets, skgan.evaluation, skgan.inspection,
           skgan.semi_supervised, skgan.tools]  # fmt: skip


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_public_name_has_a_page_in_the_reference(module):
    listed, current = set(), None
    for page in ROOT.glob("docs/reference/*.md"):
        for line in text_of(page).splitlines():
            if line.startswith(".. currentmodule:: "):
                current = line.split()[-1]
            elif re.fullmatch(r"   \w+", line):
                listed.add(f"{current}.{line.strip()}")
    missing = {f"{module.__name__}.{name}" for name in module.__all__} - listed
    assert not missing - {"skgan.__version__"}


LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
ANCHOR = re.compile(r"^#+ (.*)$", re.MULTILINE)


@pytest.mark.parametrize(
    "page",
    [README, *PAGES, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"],
    ids=name_of,
)  # fmt: skip
def test_links_lead_to_files_that_exist(page):
    text = re.sub(r"^```.*?^```", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    for link in LINK.findall(re.sub(r"`[^`\n]*`", "", text)):
        path, _, anchor = link.partition("#")
        if path.startswith(("http://", "https://", "mailto:")):
            continue
        target = (page.parent / path).resolve() if path else page
        if "auto_examples" in target.parts and target.suffix == ".rst":
            stem = target.stem
            assert stem == "index" or (ROOT / "examples" / f"{stem}.py").exists(), link
            continue
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            headings = {
                re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-")
                for h in ANCHOR.findall(text_of(target))
            }
            assert anchor in headings, f"{link} names no heading"


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path):
    """All but the gallery's examples, which run in a test of their own."""
    for name in ("sphinx", "myst_parser", "numpydoc", "pydata_sphinx_theme", "sphinx_gallery"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install '.[docs]'")
    for folder in ("docs", "examples"):
        ignored = shutil.ignore_patterns("_build", "auto_examples", "generated", "backreferences")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html",
               "-D", "plot_gallery=0", str(tmp_path / "docs"), str(tmp_path / "html")]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "html" / "reference" / "generated" / "skgan.BiGANEncoder.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "example", sorted(ROOT.glob("examples/plot_*.py")), ids=lambda path: path.name
)
def test_an_example_of_the_gallery_runs(example):
    source = example.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(source)), "its text is the page's"
    exec(compile(source, str(example), "exec"), {"__name__": "__main__"})


def test_blocks_are_found_with_their_lines():
    text = "# T\n\n```python\na = 1\n```\n\n```bash\nls\n```\n\n```python\nb = 2\nc = 3\n```\n"
    assert python_blocks(text) == [(4, "a = 1\n"), (12, "b = 2\nc = 3\n")]
