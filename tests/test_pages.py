"""Every Python block of README.md runs as pasted into a new file, those of a page of docs/ in turn.

Every method has a page.
"""

import ast
import re
from pathlib import Path

import pytest

import skgan.methods

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = sorted(
    page for page in ROOT.glob("docs/**/*.md")
    if not {"_build", "auto_examples"} & set(page.relative_to(ROOT).parts)
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


BLOCKS = python_blocks(README.read_text(encoding="utf-8")) if README.exists() else []


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.name)
def test_no_fence_is_overlooked(page):
    text = page.read_text(encoding="utf-8")
    assert len(python_blocks(text)) == text.count("```python")


def test_the_readme_shows_code():
    assert BLOCKS, "README.md is missing, or has no ```python block"


@pytest.mark.parametrize("block", [pytest.param(b, id=f"line{b[0]}") for b in BLOCKS])
def test_a_readme_block_runs(block):
    run_blocks(README, [block], {"__name__": "__main__"})


@pytest.mark.parametrize(
    "page", [p for p in PAGES if python_blocks(p.read_text("utf-8"))], ids=lambda page: page.name
)
def test_the_blocks_of_a_page_run_in_turn(page):
    run_blocks(page, python_blocks(page.read_text(encoding="utf-8")), {"__name__": "__main__"})


@pytest.mark.parametrize("name", skgan.methods.__all__)
def test_every_method_has_its_page_and_its_row(name):
    module = getattr(skgan, name).__module__
    page = f"methods/{module.rpartition('.')[2]}.md"
    title = (ROOT / "docs" / page).read_text(encoding="utf-8").partition("\n")[0]
    names = [cls for cls in skgan.methods.__all__ if getattr(skgan, cls).__module__ == module]
    assert title == f"# {' and '.join(names)}"
    for other in ("index.md", "api.md"):
        text = (ROOT / "docs" / other).read_text(encoding="utf-8")
        assert f"]({page})" in text, f"docs/{other} does not link {page}"
    assert f"`{name}`" in README.read_text(encoding="utf-8")


def test_every_example_of_the_gallery_is_named_on_a_page():
    """That of its method, or for a tool the page that explains it."""
    examples = sorted(ROOT.glob("examples/plot_*.py"))
    assert examples
    for example in examples:
        page = ROOT / "docs" / "methods" / f"{example.stem.removeprefix('plot_')}.md"
        pages = [page] if page.exists() else ROOT.glob("docs/howto_*.md")
        name = f"`examples/{example.name}`"
        assert any(name in p.read_text(encoding="utf-8") for p in pages), name


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
