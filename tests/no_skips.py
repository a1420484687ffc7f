"""Where CI=true or NASREC_NO_SKIPS=1 is set, a test that is skipped fails the run, unless its reason is allowed.

`make setup-all` installs every optional package, so a test skipped there checks nothing and nobody would notice.
"""

from __future__ import annotations

import os
import re
from collections import Counter

import pytest

ALLOWED = (
    re.compile(r"there is a card$"),  # what is told where there is none
    re.compile(r"NASREC_DATA is not set: no folder with real click logs$"),
    re.compile(r"NASREC_DATA names no folder with Frappe's files$"),
)
"""Reasons that no package mends."""


def watch(config: pytest.Config) -> None:
    """Fails this run if it skips for another reason, where it may not; for the hook `pytest_configure`."""
    forbidden = os.environ.get("CI") == "true" or os.environ.get("NASREC_NO_SKIPS", "0") not in ("", "0")
    if forbidden and not hasattr(config, "workerinput"):  # a worker of a parallel run reports to its leader
        config.pluginmanager.register(NoSkips())


class NoSkips:
    """Counts the tests and the modules skipped, by reason; of a parallel run in the process that leads it."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()

    def _add(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self.found[f"{report.nodeid}: {reason.removeprefix('Skipped: ')}"] += 1

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._add(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._add(report)

    def wrong(self) -> list[str]:
        """The skipped ones whose reason is not allowed."""
        return sorted(line for line in self.found if not any(reason.search(line) for reason in ALLOWED))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.wrong() and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        wrong = self.wrong()
        if wrong:
            terminalreporter.section("skipped, where nothing may be skipped", red=True, bold=True)
            for line in wrong:
                terminalreporter.write_line(line)
        terminalreporter.write_line(
            f"{sum(self.found.values())} skipped, {len(wrong)} of them for a reason not allowed"
        )
