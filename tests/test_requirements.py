"""What is declared is what is imported; and who misses a package is told an extra that exists."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from nasrec import extras
from tests.test_repository import PACKAGES, ROOT, STANDARD, imported_roots, sources

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NEEDED = {requirement.name: requirement for requirement in map(Requirement, PROJECT["dependencies"])}
EXTRAS = {name: [Requirement(text) for text in texts] for name, texts in PROJECT["optional-dependencies"].items()}
DISTRIBUTIONS = {"sklearn": "scikit-learn"}
"""Where the name that is imported differs from that of the package."""

AHEAD = {"pandas", "scikit-learn"}
"""Declared for what users hand in and take out, imported or not."""

FILES = [path for package in PACKAGES for path in sources(package)]
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def third_party(roots: set[str]) -> set[str]:
    """The packages behind imported names."""
    return {DISTRIBUTIONS.get(root, root) for root in roots - STANDARD - set(PACKAGES)}


def at_import(nodes: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when a module is imported and must not fail: neither in functions nor under `try`, and not
    for type checkers alone."""
    for node in nodes:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from at_import(node.orelse)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, (ast.If, ast.With, ast.ClassDef, ast.For, ast.While)):
            yield from at_import(node.body)


def roots_at_import(path: Path) -> set[str]:
    module = parsed(path)
    found = list(at_import(module.body))
    names = [alias.name for node in found if isinstance(node, ast.Import) for alias in node.names]
    names += [str(node.module) for node in found if isinstance(node, ast.ImportFrom) and node.level == 0]
    return {name.split(".")[0] for name in names}


def strings(path: Path) -> Iterator[str]:
    """Constant texts of a source, but no docstrings."""
    module = parsed(path)
    documents = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
            yield node.value


def test_every_import_is_declared() -> None:
    known = set(NEEDED) | {DISTRIBUTIONS.get(name, name) for name in extras.OPTIONAL} | AHEAD
    found = {str(path.relative_to(ROOT)): third_party(imported_roots(path)) - known for path in FILES}
    assert {path: names for path, names in found.items() if names} == {}


def test_modules_import_without_optional_packages() -> None:
    found = {str(path.relative_to(ROOT)): third_party(roots_at_import(path)) - set(NEEDED) for path in FILES}
    assert {path: names for path, names in found.items() if names} == {}


def test_every_dependency_is_imported() -> None:
    imported = third_party(set().union(*map(imported_roots, FILES)))
    assert set(NEEDED) - imported <= AHEAD


def test_extras_are_those_of_the_table() -> None:
    """Every package of an extra is optional somewhere in the code, under that extra, and nothing else is."""
    for name, optional in extras.OPTIONAL.items():
        named = {requirement.name for requirement in EXTRAS[optional.extra]}
        assert DISTRIBUTIONS.get(name, name) in named or name == "torchrec", name
    used = {DISTRIBUTIONS.get(name, name) for name in extras.OPTIONAL} | AHEAD
    beside = {"dev", "torchrec"}  # tools; and what TorchRec needs, as it is installed without its dependencies
    for extra, requirements in EXTRAS.items():
        assert extra in beside or {requirement.name for requirement in requirements} <= used, extra


def test_optional_packages_have_a_user() -> None:
    elsewhere = [path for path in FILES if path.name != "extras.py"]
    said = set().union(*(imported_roots(path) for path in elsewhere), *(set(strings(path)) for path in elsewhere))
    assert set(extras.OPTIONAL) <= said


def test_hints_name_extras_that_exist() -> None:
    """No file tells on its own what to install, so what `install_command` gives is all that users read."""
    own_words = {ROOT / "nasrec/extras.py", ROOT / "nasrec/kernels/extension.py"}
    told = [str(path.relative_to(ROOT)) for path in FILES if any("pip install" in text for text in strings(path))]
    assert sorted(told) == sorted(str(path.relative_to(ROOT)) for path in own_words)
    for name in extras.OPTIONAL:
        (extra,) = re.findall(r"^pip install 'nasrec\[(\w+)\]'", extras.install_command(name))
        assert extra in EXTRAS


def test_hints_are_asked_for_known_packages() -> None:
    asked = [
        node.args[0].value
        for path in FILES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "install_command"
        and isinstance(node.args[0], ast.Constant)
    ]
    assert len(asked) >= 5 and set(asked) <= set(extras.OPTIONAL)


def test_who_installed_a_wheel_is_pointed_to_no_file_of_the_checkout() -> None:
    assert [
        path.name for path in FILES if any(re.search(r"requirements\S*\.txt", text) for text in strings(path))
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_extras_that_exist(page: Path) -> None:
    named = re.findall(r"nasrec\[([\w,]+)\]", page.read_text(encoding="utf-8"))
    assert {extra for names in named for extra in names.split(",")} <= set(EXTRAS)


def pins() -> dict[str, str]:
    """Versions of the exact environments, by package."""
    lines = [line for path in ROOT.glob("requirements*.txt") for line in path.read_text().splitlines()]
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", "\n".join(lines), re.MULTILINE))


def test_exact_environments_fit_the_ranges() -> None:
    pinned = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins().items()}
    for requirement in [*NEEDED.values(), *(each for requirements in EXTRAS.values() for each in requirements)]:
        assert requirement.specifier.contains(pinned[requirement.name]), requirement


def test_torchrec_is_told_as_it_is_pinned() -> None:
    told = dict(re.findall(r"([\w-]+)==(\S+)", extras.install_command("torchrec")))
    assert told == {name: pins()[name] for name in ("torchrec", "fbgemm-gpu-cpu")}
    assert extras.TORCHREC in (ROOT / "docs/installation.md").read_text(encoding="utf-8")
