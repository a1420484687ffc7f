"""Package map, and the CMake build of the extension `nasrec._C`; everything else stands in pyproject.toml.

Environment: USE_CUDA=auto|0|1 (auto: where a fitting nvcc is found), NASREC_CUDA_ARCHS (CMake's list, e.g.
"80-real;90"), CXX, CMAKE_BUILD_PARALLEL_LEVEL, NASREC_SANITIZE (what -fsanitize takes, e.g. "address,undefined"),
NASREC_ONLY_ISA (CPU kernels for one instruction set alone: baseline, avx2 or avx512).
"""

import importlib.util
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
FIRST = "install torch and pybind11 first, then nasrec with `pip install --no-build-isolation`"
OLDEST_TORCH = (2, 11)  # as TORCH_TARGET_VERSION in CMakeLists.txt


class CMakeBuild(build_ext):
    """Runs CMake in a build folder that outlives the call: a second build compiles only what changed."""

    def build_extension(self, ext: Extension) -> None:
        try:
            import pybind11
        except ImportError as error:
            raise SystemExit(f"{error}: {FIRST}") from None
        torch = Torch()
        target = Path(self.get_ext_fullpath(ext.name)).resolve()
        sanitize = os.environ.get("NASREC_SANITIZE", "")
        only_isa = os.environ.get("NASREC_ONLY_ISA", "")
        if only_isa not in ("", "baseline", "avx2", "avx512"):
            raise SystemExit(f"NASREC_ONLY_ISA must be baseline, avx2 or avx512, got {only_isa}")
        variant = f"-{only_isa}" if only_isa else ""
        variant += f"-{sanitize.replace(',', '-')}" if sanitize else ""
        build = ROOT / "build" / f"cmake-{sys.implementation.cache_tag}-torch-{torch.version}{variant}"
        tool_path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        cmake, ninja = (shutil.which(tool, path=tool_path) for tool in ("cmake", "ninja"))
        if cmake is None:
            raise SystemExit("cmake is missing: install it, or `pip install cmake` in this environment")
        definitions = {
            "CMAKE_BUILD_TYPE": "None" if sanitize else "Release",
            "NASREC_OUTPUT_NAME": target.name.removesuffix(".so"),
            "NASREC_TORCH_ROOT": torch.root,
            "NASREC_TORCH_VERSION": torch.version,
            "NASREC_TORCH_CUDA": torch.cuda,
            "NASREC_GIT_COMMIT": git_commit(),
            "NASREC_USE_CUDA": os.environ.get("USE_CUDA", "auto"),
            "NASREC_SANITIZE": sanitize,
            "NASREC_ONLY_ISA": only_isa,
            "NASREC_CUDA_ARCHS": os.environ.get("NASREC_CUDA_ARCHS", "80-real;90"),
            "Python_EXECUTABLE": sys.executable,
            "pybind11_DIR": pybind11.get_cmake_dir(),
        }
        generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"] if ninja else []
        flags = [f"-D{name}={value}" for name, value in definitions.items()]
        subprocess.run([cmake, "-S", ROOT, "-B", build, *generator, *flags], check=True)
        subprocess.run([cmake, "--build", build, "--parallel"], check=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")
        shutil.copy2(build / target.name, partial)
        os.replace(partial, target)  # a running process may hold the old one open


class Torch:
    """The environment's torch, found but not imported: its headers and libraries are enough to build with, so what it
    needs to run may be missing."""

    def __init__(self) -> None:
        spec = importlib.util.find_spec("torch")
        if spec is None or spec.origin is None:
            raise SystemExit(f"No module named 'torch': {FIRST}")
        self.root = Path(spec.origin).parent
        facts = runpy.run_path(str(self.root / "version.py"))
        self.version, self.cuda = str(facts["__version__"]), facts.get("cuda") or ""
        if tuple(int(part) for part in self.version.split(".")[:2]) < OLDEST_TORCH:
            raise SystemExit(f"torch {self.version} is too old to build nasrec with: install torch 2.11 or later")


def git_commit() -> str:
    """The commit of the sources, with a `+` where csrc differs from it; empty outside a git checkout."""
    try:
        run = {"cwd": ROOT, "capture_output": True, "text": True, "check": True}
        commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], **run).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "--", "csrc", "CMakeLists.txt"], **run).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return commit + ("+" if changed.strip() else "")


setup(
    packages=[*find_packages(include=["nasrec", "nasrec.*"]), *find_packages("ir"), *find_packages("pim")],
    package_dir={"nasrec_ir": "ir/nasrec_ir", "nasrec_pim": "pim/nasrec_pim"},
    package_data={"": ["py.typed", "**/*.json", "**/*.toml", "**/*.yaml", "**/*.html", "**/*.js", "**/*.css"]},
    ext_modules=[Extension("nasrec._C", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
)
