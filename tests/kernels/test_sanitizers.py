"""The CPU kernels' own tests once more, on a build with address and undefined-behaviour sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nasrec.kernels import extension

ROOT = Path(__file__).resolve().parents[2]
# Tracing and exporting run no other kernel code, and subprocesses would not find the sanitizer's library.
LEFT_OUT = "compile or export or onnx or opcheck or instruction_set or sanitizers or fork or extension"


def built_info() -> dict[str, str]:
    module = extension.extension()
    assert module is not None
    info: dict[str, str] = module.build_info()
    return info


def sanitizer_libraries() -> list[str]:
    """Paths of the compiler's sanitizer libraries, which must be loaded before anything else."""
    compiler = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("c++")
    if compiler is None:
        return []
    names = ("libasan.so", "libubsan.so")
    found = [
        subprocess.run([compiler, f"-print-file-name={name}"], capture_output=True, text=True).stdout.strip()
        for name in names
    ]
    return [path for path in found if Path(path).is_absolute()] if all(found) else []


@pytest.mark.slow
@pytest.mark.skipif(extension.extension() is None, reason="the extension is not built")
def test_kernels_under_sanitizers(tmp_path: Path) -> None:
    libraries = sanitizer_libraries()
    if len(libraries) < 2:
        pytest.skip("the compiler has no sanitizer libraries")
    build = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", str(tmp_path)]
    environment = {**os.environ, "NASREC_SANITIZE": "address,undefined", "USE_CUDA": "0"}
    environment["NASREC_ONLY_ISA"] = built_info()["isa_active"]
    made = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    (module,) = (tmp_path / "nasrec").glob("_C*.so")
    environment |= {
        "LD_PRELOAD": " ".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python and torch hold memory until the end
        "NASREC_EXTENSION": str(module),
        "NASREC_TEST_EXAMPLES": "4",
    }
    # Not captured: a sanitizer writes its finding and ends the process at once.
    tests = [sys.executable, "-m", "pytest", "-s", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow", "-k"]
    result = subprocess.run(
        [*tests, f"not ({LEFT_OUT})", "tests/kernels"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    assert " passed" in result.stdout and "ERROR: AddressSanitizer" not in result.stderr
