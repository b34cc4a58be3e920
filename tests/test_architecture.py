"""Holds the picture of docs/develop/design.md: who may import whom, read from the source alone."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What each room may import besides itself, skgan.utils and the standard library.
ROOMS = {
    "methods": "skgan.base skgan.critics skgan.density skgan.classification skgan.clustering "
    "skgan.conditional skgan.domains skgan.reconstruction skgan.parameters skgan.nn skgan.losses "
    "skgan.penalties torch numpy",
    "classification": "skgan.parameters skgan.losses torch numpy sklearn",
    "clustering": "skgan.parameters torch numpy sklearn",
    "conditional": "skgan.parameters numpy",
    "domains": "skgan.classification numpy torch sklearn",
    "reconstruction": "skgan.parameters skgan.nn torch numpy sklearn",
    "density": "skgan.parameters numpy torch sklearn",
    "critics": "skgan.parameters skgan.penalties skgan.losses skgan.engine skgan.nn torch",
    "base": "skgan.parameters skgan.settings skgan.training skgan.extraction skgan.sampling "
    "skgan.notebook skgan.model_card skgan.engine skgan.data skgan.persistence skgan.nn "
    "skgan.version torch numpy sklearn",
    "sampling": "skgan.settings skgan.nn torch sklearn",
    "notebook": "numpy PIL sklearn",
    "model_card": "skgan.version numpy torch sklearn",
    "extraction": "skgan.export skgan.settings skgan.engine skgan.data skgan.nn numpy torch "
    "sklearn",
    "export": "skgan.data skgan.nn skgan.version numpy torch",
    "training": "skgan.engine skgan.data skgan.nn numpy torch sklearn",
    "parameters": "skgan.engine skgan.nn",
    "settings": "",
    "engine": "numpy torch tqdm",
    "nn": "torch",
    "losses": "torch",
    "penalties": "torch",
    "data": "numpy torch torchvision PIL",
    "persistence": "skgan.nn skgan.data skgan.version numpy torch safetensors sklearn",
    "utils": "numpy torch sklearn safetensors",
    "version": "",
    "datasets": "skgan.data numpy torchvision sklearn",
}
# Specs of networks are estimators, so that their settings can be searched.
# scikit-learn's callbacks are met in one thin module; so is what arithmetic networks run in.
EXCEPTIONS = {
    "skgan/nn/specs.py": "sklearn.base",
    "skgan/engine/reporting.py": "sklearn.callback",
    "skgan/engine/runtime.py": "skgan.nn.kernels",
}
# These know skgan by its public modules only; what else they import is their own business.
OUTER = {"callbacks", "cli", "evaluation", "inspection", "semi_supervised", "tools", "examples"}
PUBLIC = {"skgan", "skgan.methods", "skgan.evaluation", "skgan.inspection", "skgan.tools"}
PUBLIC |= {"skgan.datasets", "skgan.callbacks", "skgan.semi_supervised"}
# Tools that are fitted on samples read X as the estimators do, and may build networks.
READERS = {"tools": {"skgan.data", "skgan.nn"}}

# Imported where they are used.
HEAVY = {"torchvision", "matplotlib", "tqdm", "pandas", "pyarrow", "bokeh", "tornado"}
HEAVY |= {"tensorboard", "mlflow"}
PLUMBING = {"zero_grad", "backward", "detach", "requires_grad_", "to"}  # the engine's work
GLOBAL_STATE = {"torch.manual_seed", "torch.random.manual_seed", "np.random.seed"}
GLOBAL_STATE |= {"numpy.random.seed", "torch.set_num_threads", "torch.set_num_interop_threads"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
ORDINARY_WORDS = {
    "loss",
    "noise",
    "joint",
    "trunk",
}  # parameters of one method that mean much else besides
MAX_LINES, MAX_BASE_LINES, MAX_FUNCTION_LINES = 400, 350, 60


def imports(node: ast.AST, path: str) -> list[str]:
    """Full names of what one import statement reaches, relative ones resolved."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    here = path.split("/")[: -node.level] if node.level else []
    source = ".".join([*here, node.module] if node.module else here)
    # `from skgan import base` names a room, `from skgan import DCGAN...` a public class.
    rooms = ROOMS.keys() | OUTER
    inner = [f"skgan.{a.name}" if a.name in rooms else source for a in node.names]
    return inner if source == "skgan" else [source]


def run_at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that importing a module executes: no function bodies, no TYPE_CHECKING blocks."""
    for child in ast.iter_child_nodes(tree):
        typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if not isinstance(child, (*FUNCTIONS, ast.Lambda)) and not typing_only:
            yield child
            yield from run_at_import(child)


def within(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def foreign_imports(tree: ast.AST, path: str) -> Iterator[str]:
    folder, *rest = path.split("/")
    room = folder if folder == "examples" else rest[0].removesuffix(".py")
    if room == "__init__":
        return  # skgan/__init__.py gathers the public names
    if room == "__main__":
        room = "cli"  # which it runs
    if room not in ROOMS.keys() | OUTER:
        yield f"{path}: the room {room!r} is not in the picture"
        return
    own = {f"skgan.{room}", "skgan.utils"}
    if room == "methods" and not path.endswith("/__init__.py"):
        own = {"skgan.utils"}  # no method imports another
    allowed = own | set(f"{ROOMS.get(room, '')} {EXCEPTIONS.get(path, '')}".split())
    for node in ast.walk(tree):
        for name in imports(node, path):
            if within(name, allowed) or within(name, set(sys.stdlib_module_names)):
                continue
            if room in OUTER and (name in PUBLIC or not within(name, {"skgan"})):
                continue
            if within(name, READERS.get(room, set())):
                continue
            yield f"{path}:{node.lineno}: {room} may not import {name}"


def eager_imports(tree: ast.AST, path: str) -> Iterator[str]:
    for node in run_at_import(tree):
        for name in imports(node, path):
            if path.startswith("skgan/") and within(name, HEAVY):
                yield f"{path}:{node.lineno}: {name} is imported at module level"


def long_code(tree: ast.AST, path: str, n_lines: int) -> Iterator[str]:
    limit = MAX_BASE_LINES if path == "skgan/base.py" else MAX_LINES
    if n_lines > limit:
        yield f"{path}: {n_lines} lines, more than {limit}"
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS):
            # A numpydoc docstring may be as long as it needs to be.
            first, has_doc = node.body[0], ast.get_docstring(node) is not None
            doc = first.end_lineno - first.lineno + 1 if has_doc else 0
            length = node.end_lineno - node.lineno + 1 - doc
            if length > MAX_FUNCTION_LINES:
                yield f"{path}:{node.lineno}: {node.name} has {length} lines"


def forbidden_calls(tree: ast.AST, path: str) -> Iterator[str]:
    if not path.startswith("skgan/"):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = {f"{node.module}.{alias.name}" for alias in node.names} & GLOBAL_STATE
            yield from (f"{path}:{node.lineno}: {name} touches global state" for name in names)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = ast.unparse(node.func)
            if name in GLOBAL_STATE or name.startswith("torch.cuda.manual_seed"):
                yield f"{path}:{node.lineno}: {name} touches global state"
            if path.startswith("skgan/methods/") and node.func.attr in PLUMBING:
                yield f"{path}:{node.lineno}: {name} is the engine's work"


def complaints(path: str, source: str) -> list[str]:
    tree = ast.parse(source)
    found = [*foreign_imports(tree, path), *eager_imports(tree, path)]
    found += long_code(tree, path, len(source.splitlines()))
    return found + list(forbidden_calls(tree, path))


def parameters_of(tree: ast.AST) -> set[str]:
    """Names of the parameters that the classes of a module declare: their annotated defaults."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return {
        item.target.id
        for cls in classes
        for item in cls.body
        if isinstance(item, ast.AnnAssign) and not item.target.id.startswith("_")
    }


def named(tree: ast.AST, path: str) -> Iterator[tuple[str, int]]:
    """What an inner room names: classes, and parameters as strings or attributes of estimators."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)) and ast.get_docstring(node)
    }
    # Networks have arguments of their own.
    on_estimators = not path.startswith("skgan/nn/")
    holders = ("self", "e", "estimator", "self.estimator") if on_estimators else ()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id[0].isupper():
            yield node.id, node.lineno
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and on_estimators:
            if id(node) not in docstrings:
                yield node.value, node.lineno
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in holders:
            yield node.attr, node.lineno


def named_methods(trees: dict[str, ast.AST]) -> Iterator[str]:
    """Where an inner room names a class of a method, or a parameter that one method alone has."""
    methods = {p: t for p, t in trees.items() if p.startswith("skgan/methods/")}
    inner = {
        p: t for p, t in trees.items()
        if p not in methods and "/__init__" not in p and p.split("/")[1] not in OUTER
    }  # fmt: skip
    shared = set().union(*map(parameters_of, inner.values()))
    own = {}
    for path, tree in methods.items():
        classes = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
        own |= dict.fromkeys(classes | (parameters_of(tree) - shared), path)
    for path, tree in inner.items():
        if path == "skgan/persistence.py":
            continue  # its table of renamed parameters
        for name, line in named(tree, path):
            if name in own and name not in ORDINARY_WORDS:
                yield f"{path}:{line}: {name} belongs to {own[name]}"


def test_no_method_is_named_outside_of_its_file():
    files = sorted((ROOT / "skgan").rglob("*.py"))
    trees = {p.relative_to(ROOT).as_posix(): ast.parse(p.read_text()) for p in files}
    found = list(named_methods(trees))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "def f(e):\n    return e.own_weight",
        "def f(e):\n    return getattr(e, 'own_weight', 0)",
        "def f(p):\n    return p['own_weight']",
        "class A:\n    def f(self):\n        return self.own_weight",
        "def f(x):\n    return isinstance(x, OwnFeatures)",
    ],
)
def test_naming_a_method_is_reported(source):
    method = "class OwnFeatures:\n    own_weight: float = 1.0\n    lr: float = 2.0"
    group = "class Group:\n    lr: float = 1.0\n    def f(self):\n        return self.lr"
    trees = {"skgan/methods/own.py": method, "skgan/parameters.py": group}
    trees = {p: ast.parse(s) for p, s in trees.items()}
    assert not list(named_methods(trees))
    found = list(named_methods(trees | {"skgan/training.py": ast.parse(source)}))
    assert len(found) == 1 and found[0].startswith("skgan/training.py:")


def test_the_tree_keeps_to_the_picture():
    files = [p for room in ("skgan", "examples") for p in sorted((ROOT / room).rglob("*.py"))]
    assert len(files) > 5
    found = [c for p in files for c in complaints(p.relative_to(ROOT).as_posix(), p.read_text())]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("methods/bigan.py", "from ..engine import loop", "may not import skgan.engine"),
        ("methods/bigan.py", "def f():\n    import skgan.data", "may not import skgan.data"),
        ("methods/bigan.py", "from . import dcgan", "may not import skgan.methods"),
        ("methods/bigan.py", "from .dcgan import DCGAN", "may not import skgan.methods.dcgan"),
        ("methods/bigan.py", "from sklearn.svm import SVC", "may not import sklearn.svm"),
        ("methods/bigan.py", "loss.backward()", "loss.backward is the engine's work"),
        ("methods/bigan.py", "g(z).to(device)", "g(z).to is the engine's work"),
        ("base.py", "from skgan import losses", "may not import skgan.losses"),
        ("base.py", "x = 1\n" * 351, "351 lines, more than 350"),
        ("engine/loop.py", "from ..base import BaseGAN", "may not import skgan.base"),
        ("engine/loop.py", "import skgan", "may not import skgan"),
        ("engine/loop.py", "import tqdm", "tqdm is imported at module level"),
        ("nn/specs.py", "import sklearn.svm", "may not import sklearn.svm"),
        ("nn/mlp.py", "import sklearn.base", "may not import sklearn.base"),
        ("losses.py", "import torchmetrics", "may not import torchmetrics"),
        ("losses.py", "x = 1\n" * 401, "401 lines, more than 400"),
        ("losses.py", "def f():\n" + "    x = 1\n" * 60, "f has 61 lines"),
        ("data/arrays.py", "np.random.seed(0)", "np.random.seed touches global state"),
        ("data/arrays.py", "from torch import manual_seed", "torch.manual_seed touches global"),
        ("evaluation/probes.py", "from ..base import BaseGAN", "may not import skgan.base"),
        ("semi_supervised/a.py", "from ..data import stores", "may not import skgan.data"),
        ("evaluation/probes.py", "from ..data import arrays", "may not import skgan.data"),
        ("tools/patches.py", "from ..parameters import x", "may not import skgan.parameters"),
        ("inspection/a.py", "class A:\n    from matplotlib import cm", "matplotlib is imported at"),
        ("cli/commands.py", "from ..data import stores", "may not import skgan.data"),
        (
            "cli/commands.py",
            "def f():\n    from ..base import BaseGAN",
            "may not import skgan.base",
        ),
        ("__main__.py", "from .base import BaseGAN", "may not import skgan.base"),
        ("base.py", "from .cli import main", "may not import skgan.cli"),
        ("cellar.py", "", "the room 'cellar' is not in the picture"),
    ],
)
def test_an_offence_is_reported(path, source, expected):
    found = complaints(f"skgan/{path}", source)
    assert any(expected in complaint for complaint in found), found


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("skgan/methods/bigan.py", "import torch\nfrom ..base import BaseGAN\nfrom ..nn import x"),
        ("skgan/methods/__init__.py", "from .bigan import BiGAN"),
        ("skgan/nn/specs.py", "import math\nfrom sklearn.base import BaseEstimator"),
        ("skgan/engine/loop.py", "from .players import P\ndef f():\n    import tqdm"),
        ("skgan/data/arrays.py", "from ..utils.checks import check\nrng.manual_seed(0)"),
        ("skgan/evaluation/probes.py", "import sklearn.svm\nfrom skgan import BiGAN"),
        ("skgan/cli/commands.py", "import click\nfrom .. import LazyImages\nfrom .images import x"),
        ("skgan/__main__.py", "from .cli import main"),
        ("examples/demo.py", "import matplotlib\nfrom skgan.evaluation import probe"),
        ("skgan/tools/patches.py", "from ..data.arrays import learn_format"),
        ("skgan/losses.py", 'def f():\n    """Sum.' + "\n" * 90 + '    """\n    return 1'),
    ],
)
def test_what_the_picture_allows_is_left_alone(path, source):
    assert complaints(path, source) == []
