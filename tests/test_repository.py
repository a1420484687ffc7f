"""Rules of the repository as a whole: who may import whom, light imports, and no trace of one machine."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"nasrec_ir": ROOT / "ir/nasrec_ir", "nasrec_pim": ROOT / "pim/nasrec_pim", "nasrec": ROOT / "nasrec"}
STANDARD = set(sys.stdlib_module_names) | {"__future__"}
IR = STANDARD | {"nasrec_ir", "networkx", "numpy"}
PIM = IR | {"nasrec_pim", "scipy"}


def sources(package: str) -> list[Path]:
    return sorted(PACKAGES[package].rglob("*.py"))


def imported_roots(path: Path) -> set[str]:
    """The first name of every absolute import of a file, wherever in the file it stands."""
    roots = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            roots.add(str(node.module).split(".")[0])
    return roots


def forbidden_imports(package: str, path: Path) -> set[str]:
    roots = imported_roots(path)
    if package == "nasrec_ir":
        return roots - IR
    if package == "nasrec_pim":
        return roots - PIM - ({"torch"} if path.name.startswith("functional") else set())
    return roots & {"tests", "benchmarks"}


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_one_way(package: str) -> None:
    """nasrec_ir <- nasrec_pim <- nasrec, and nothing imports the tests or the benchmarks."""
    assert sources(package), f"no sources of {package}"
    found = {str(path.relative_to(ROOT)): forbidden_imports(package, path) for path in sources(package)}
    assert {path: roots for path, roots in found.items() if roots} == {}


def test_the_import_rule_sees_every_kind_of_import(tmp_path: Path) -> None:
    path = tmp_path / "functional_sample.py"
    path.write_text("import torch.nn\ndef f():\n    from nasrec.space import S\n    from . import local\n")
    assert imported_roots(path) == {"torch", "nasrec"}
    assert forbidden_imports("nasrec_ir", path) == {"torch", "nasrec"}
    assert forbidden_imports("nasrec_pim", path) == {"nasrec"}
    assert forbidden_imports("nasrec_pim", path.rename(tmp_path / "sample.py")) == {"torch", "nasrec"}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_source_folder_is_a_package(package: str) -> None:
    """A folder without __init__.py would be left out of the wheel."""
    folders = {path.parent for path in sources(package)}
    assert sorted(str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").exists()) == []
    assert (PACKAGES[package] / "py.typed").exists()


@pytest.mark.parametrize("package", [*PACKAGES, "nasrec.runs", "nasrec.train", "nasrec.prune", "nasrec.quant"])
def test_import_is_light(package: str) -> None:
    code = f"import {package}, sys; print('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(p.parent) for p in PACKAGES.values())}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert result.stdout.strip() == "False", result.stderr


def tracked_files() -> list[Path]:
    try:
        names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def test_no_machine_path_in_tracked_files() -> None:
    """A home folder, or the folder of this checkout, says that something was written for one machine."""
    home = re.compile(rb"/(?:root|home/[a-z][\w.-]*|Users/[A-Z]\w*)/")
    here = f"{ROOT}/".encode()
    found = []
    for path in tracked_files():
        content = path.read_bytes()
        if home.search(content) or here in content:
            found.append(str(path.relative_to(ROOT)))
    assert found == []


def test_tracked_files_are_small() -> None:
    """Data and weights do not belong in the repository."""
    large = [str(path.relative_to(ROOT)) for path in tracked_files() if path.stat().st_size > 1_000_000]
    assert large == []
