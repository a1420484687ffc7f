"""What is packed: the version, the oldest torch, a complete source distribution, and a wheel that works elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import nasrec
from nasrec._version import __version__
from nasrec.kernels import extension
from tests.test_repository import PACKAGES, ROOT

NOT_PACKED = {".ci", ".github", ".gitignore"}
"""Folders and files of the checkout that a source distribution needs none of."""

FORWARD = """
import torch, nasrec, nasrec_ir, nasrec_pim
from nasrec import kernels, presets
from nasrec.kernels import extension
print(nasrec.__file__, nasrec_ir.__file__, nasrec_pim.__file__, extension.extension().__file__, sep="\\n")
model = nasrec.compile(presets.load("kdd-small"), nasrec.FeatureSpec(3, [50] * 10, 16), seed=0)
dense, sparse = torch.randn(8, 3), torch.randint(50, (8, 10))
logits = model(dense, sparse)
with kernels.use_reference():
    assert torch.allclose(logits, model(dense, sparse), atol=1e-4)
logits.sum().backward()
nasrec_pim.map_graph(model.graph, nasrec_pim.Hardware.preset("default"))
"""


def test_version_stands_once() -> None:
    assert nasrec.__version__ == __version__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in project["project"] and project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "nasrec._version.__version__"}
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited is not None and cited[1] == __version__  # a citation file has no other way


def test_oldest_torch_is_the_same_everywhere() -> None:
    """What the extension is held to, what it may be built with, what it accepts, what pip installs."""
    major, minor = extension.OLDEST_TORCH
    target = re.search(r"TORCH_TARGET_VERSION=0x(\w+)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"))
    assert target is not None and int(target[1], 16) == major << 56 | minor << 48
    assert f"OLDEST_TORCH = ({major}, {minor})" in (ROOT / "setup.py").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"torch>={major}.{minor}"' in project
    assert f"--no-deps torch=={major}.{minor}.0" in project  # wheels are built beside the oldest


def test_changelog_has_a_place_for_what_comes() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading) for heading in headings[1:])


@dataclass(frozen=True)
class Packed:
    """A source distribution, and the files of the checkout that should be in it."""

    archive: Path
    files: set[str]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """Made from a copy, as packing leaves files beside the sources."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    files = {name for name in names if name and (ROOT / name).is_file()}
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("sdist")
    for name in files:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(out)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (archive,) = out.glob("*.tar.gz")
    return Packed(archive, {name for name in files if name.split("/")[0] not in NOT_PACKED})


@pytest.mark.slow
def test_source_distribution_is_complete(packed: Packed) -> None:
    with tarfile.open(packed.archive) as archive:
        there = {member.name.split("/", 1)[1] for member in archive.getmembers() if member.isfile()}
    assert packed.archive.name == f"nasrec-{__version__}.tar.gz"
    assert packed.files - there == set()
    assert {name for name in there - packed.files if ".egg-info/" not in name} == {"PKG-INFO", "setup.cfg"}


@dataclass(frozen=True)
class Elsewhere:
    """An environment of its own with the wheel in it; packages that nasrec needs are those of this environment."""

    folder: Path
    wheel: Path

    @property
    def packages(self) -> Path:
        (path,) = self.folder.glob("lib/python*/site-packages")
        return path

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """In its own folder, with no compiler on the path and nothing of the checkout."""
        environment: dict[str, Any] = {"PATH": str(self.folder / "bin"), "HOME": str(self.folder), **variables}
        program = [str(self.folder / "bin" / command[0]), *command[1:]]
        return subprocess.run(program, cwd=self.folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def elsewhere(packed: Packed, tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    """CPU kernels for one instruction set, to be quick."""
    out, folder = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("elsewhere")
    module = extension.extension()
    isa = module.build_info()["isa_active"] if module is not None else "baseline"
    environment = {**os.environ, "USE_CUDA": "0", "NASREC_ONLY_ISA": isa}
    environment.pop("PYTHONPATH", None)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheel = [*pip, "wheel", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", str(out)]
    commands = [
        [*wheel, str(packed.archive)],
        [sys.executable, "-m", "venv", "--without-pip", str(folder)],
    ]
    for command in commands:
        done = subprocess.run(command, cwd=out, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    there = Elsewhere(folder, built)
    (there.packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [
        *pip,
        "--python",
        str(folder / "bin" / "python"),
        "install",
        "--no-deps",
        "--no-index",
        "--ignore-installed",
    ]
    done = subprocess.run([*install, str(built)], cwd=out, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return there


@pytest.mark.slow
def test_wheel_of_the_source_distribution(elsewhere: Elsewhere, packed: Packed) -> None:
    """One test, so that workers of a parallel run do not build one wheel each."""
    require_contents(elsewhere.wheel, packed)
    require_computes(elsewhere)
    require_hints_for_wheels(elsewhere)


def require_contents(wheel: Path, packed: Packed) -> None:
    """The three packages with their data, and one extension."""
    with zipfile.ZipFile(wheel) as archive:
        there = {name for name in archive.namelist() if ".dist-info/" not in name}
    sources = {name for name in packed.files if name.startswith(("nasrec/", "ir/nasrec_ir/", "pim/nasrec_pim/"))}
    expected = {re.sub("^(ir|pim)/", "", name) for name in sources}
    assert expected - there == set()
    assert [name.split(".")[0] for name in there - expected] == ["nasrec/_C"]
    assert set(PACKAGES) == {name.split("/")[0] for name in there}


def require_computes(elsewhere: Elsewhere) -> None:
    """By the kernels, where no compiler is, and with nothing of the checkout."""
    done = elsewhere.run("python", "-c", FORWARD, NASREC_REQUIRE_KERNELS="1")
    assert done.returncode == 0, done.stderr
    assert all(Path(line).is_relative_to(elsewhere.packages) for line in done.stdout.splitlines())
    assert elsewhere.run("nasrec", "--version").stdout == f"nasrec {__version__}\n"
    written = elsewhere.run("nasrec", "compile", "criteo-full", "-o", "model.py")
    assert written.returncode == 0 and (elsewhere.folder / "model.py").exists(), written.stderr


def require_hints_for_wheels(elsewhere: Elsewhere) -> None:
    """Who installed a wheel has no Makefile."""
    whole = elsewhere.run("nasrec", "doctor")
    assert whole.returncode == 0 and "built beside torch" in whole.stdout, whole.stderr
    without = "import sys; sys.modules['nasrec._C'] = None; from nasrec.cli import main; sys.exit(main(['doctor']))"
    broken = elsewhere.run("python", "-c", without)
    assert broken.returncode == 0 and "install a wheel of nasrec that was made for this Python" in broken.stdout
    assert "make " not in whole.stdout + broken.stdout + broken.stderr
