"""Every Python block of README.md runs as pasted into a new file."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
OPTIONAL = {"mlxtend", "matplotlib", "pandas", "polars", "skops", "rich"}


def python_blocks(text: str) -> list[tuple[int, str]]:
    """(line of the first statement, source) of every fenced ```python block."""
    fences = re.finditer(r"^```python[ \t]*\n(.*?)^```[ \t]*$", text, re.MULTILINE | re.DOTALL)
    return [(text[: m.start(1)].count("\n") + 1, m.group(1)) for m in fences]


BLOCKS = python_blocks(README.read_text(encoding="utf-8")) if README.exists() else []


def test_the_readme_shows_code():
    assert README.exists(), "README.md is missing"
    assert BLOCKS, "README.md has no ```python block"
    # A fence that the pattern above overlooks would never be run.
    assert len(BLOCKS) == README.read_text(encoding="utf-8").count("```python")


@pytest.mark.parametrize(
    "line, source", [pytest.param(*block, id=f"line{block[0]}") for block in BLOCKS]
)
def test_a_readme_block_runs(line, source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    # Blank lines in front, so that a traceback shows the line of README.md.
    code = compile("\n" * (line - 1) + source, str(README), "exec")
    try:
        exec(code, {"__name__": "__main__"})
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in OPTIONAL:
            raise
        pytest.skip(f"the block needs {error.name}, which is not installed")


def test_blocks_are_found_with_their_lines():
    text = "# T\n\n```python\na = 1\n```\n\n```bash\nls\n```\n\n```python\nb = 2\nc = 3\n```\n"
    assert python_blocks(text) == [(4, "a = 1\n"), (12, "b = 2\nc = 3\n")]
