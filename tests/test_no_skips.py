"""A run that may not skip fails where a test is skipped for want of something, and only there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = {
    "conftest.py": "from tests.no_skips import watch as pytest_configure\n",
    "test_passes.py": "def test_b(): pass\n",
    "test_missing.py": "import pytest\nmissing = pytest.importorskip('no_such_package')\ndef test_a(): pass\n",
    "test_unbuilt.py": "import pytest\n@pytest.mark.skip(reason='the extension is not built')\ndef test_a(): pass\n",
    "test_no_data.py": "import pytest\ndef test_a():\n"
    "    pytest.skip('NASREC_DATA is not set: no folder with real click logs')\n",
    "test_expected.py": "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_a(): assert False\n",
}


def outcome(folder: Path, *names: str, options: tuple[str, ...] = (), **variables: str) -> tuple[int, str]:
    for name, source in SAMPLES.items():
        (folder / name).write_text(source)
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "NASREC_NO_SKIPS")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, *options, *names]
    environment = {**kept, "PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "variable"), [((), "NASREC_NO_SKIPS"), (("-n", "1"), "CI")], ids=["alone", "parallel"]
)
def test_a_skip_for_want_of_something_fails(tmp_path: Path, options: tuple[str, ...], variable: str) -> None:
    value = "true" if variable == "CI" else "1"
    status, told = outcome(tmp_path, *SAMPLES, options=options, **{variable: value})
    assert status == 1, told
    assert "3 skipped, 2 of them for a reason not allowed" in told
    for name, reason in (("test_missing.py", "no_such_package"), ("test_unbuilt.py", "the extension is not built")):
        assert [reason in line for line in told.splitlines() if line.startswith(name)] == [True], told


def test_allowed_reasons_and_expected_failures_pass(tmp_path: Path) -> None:
    status, told = outcome(tmp_path, "test_passes.py", "test_no_data.py", "test_expected.py", CI="true")
    assert status == 0 and "1 skipped, 0 of them for a reason not allowed" in told, told


def test_elsewhere_people_have_what_they_have(tmp_path: Path) -> None:
    status, told = outcome(tmp_path, *SAMPLES)
    assert status == 0 and "3 skipped" in told and "not allowed" not in told, told
