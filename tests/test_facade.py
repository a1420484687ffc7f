"""`import nasrec` reaches every package and every error, says the same to type checkers, and loads nothing early."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import nasrec
import nasrec.errors
import nasrec_pim.errors
from nasrec_ir.errors import NasrecError

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "nasrec"


def modules_on_disk() -> set[str]:
    """Packages and modules directly in nasrec/, but private ones."""
    folders = {path.parent.name for path in PACKAGE.glob("*/*.py")}
    return {name for name in folders | {path.stem for path in PACKAGE.glob("*.py")} if not name.startswith("_")}


def errors_of(module: ModuleType) -> set[str]:
    return {
        name
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, NasrecError) and not name.startswith("_")
    }


def imports_for_type_checkers() -> dict[str, set[str]]:
    """Names by module under `if TYPE_CHECKING` of nasrec/__init__.py."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    found: dict[str, set[str]] = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom) and all(alias.asname is None for alias in node.names)
        found.setdefault(str(node.module), set()).update(alias.name for alias in node.names)
    return found


def python(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in (".", "ir", "pim"))}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_package_and_module_is_reachable() -> None:
    on_disk, listed = modules_on_disk(), set(nasrec._EXPORTS["nasrec"])
    assert {"compiler", "search", "runs", "features"} <= on_disk
    assert on_disk - listed == set(), "not reachable from `import nasrec`: add to _EXPORTS in nasrec/__init__.py"
    assert listed - on_disk == set(), "listed in nasrec/__init__.py but not there"


def test_every_error_is_reachable() -> None:
    for module in (nasrec.errors, nasrec_pim.errors):
        errors = errors_of(module)
        assert len(errors) > 1
        assert errors == set(module.__all__) | {"NasrecError"}
        assert errors - set(nasrec.__all__) == set(), "errors that `import nasrec` lacks"
        assert all(getattr(nasrec, name) is getattr(module, name) for name in errors)


def test_type_checkers_see_the_same_names() -> None:
    assert imports_for_type_checkers() == {module: set(names) for module, names in nasrec._EXPORTS.items()}
    assert sorted(nasrec.__all__) == sorted({"__version__"}.union(*nasrec._EXPORTS.values()))
    assert len(set(nasrec.__all__)) == len(nasrec.__all__) and set(nasrec.__all__) <= set(dir(nasrec))


@pytest.mark.parametrize("name", sorted(nasrec.__all__))
def test_every_name_loads(name: str) -> None:
    """Each in a process of its own would be slow; that none is bound beforehand is tested below."""
    home = nasrec._HOMES.get(name)
    value = getattr(nasrec, name)
    assert value is (
        sys.modules[f"nasrec.{name}"] if home == "nasrec" else getattr(sys.modules[home or "nasrec"], name)
    )


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'nasrec' has no attribute 'serach'"):
        nasrec.serach  # noqa: B018


def test_names_load_on_first_use_and_torch_only_where_it_is_needed() -> None:
    code = (
        "import sys, nasrec; print(sorted(m for m in sys.modules if m.startswith(('nasrec', 'torch'))));"
        "nasrec.SearchSpace.small(); nasrec.FeatureSpec, nasrec.Genotype, nasrec.TrainError, nasrec.HardwareError;"
        "nasrec.graph_of, nasrec.space, nasrec.io, nasrec.presets.load('criteo-full'); print('torch' in sys.modules);"
        "nasrec.train.TrainConfig, nasrec.runs.TrainOptions; print('torch' in sys.modules);"
        "nasrec.train.train; print('torch' in sys.modules)"
    )
    assert python(code).split("\n")[:4] == ["['nasrec', 'nasrec._version']", "False", "False", "True"]
