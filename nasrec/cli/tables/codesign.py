"""What is printed of a co-design: chosen and reference designs, and what came of training them."""

from __future__ import annotations

from nasrec.reports import text
from nasrec.reports.claim import table_of
from nasrec.runs.codesign import CodesignRun
from nasrec.runs.folder import resume_hint

__all__ = ["closing"]


def closing(run: CodesignRun) -> str:
    """All of it, and where the files are; or how to go on."""
    if run.interrupted:
        return resume_hint(run.folder)
    blocks = [_designs(run)]
    if run.claims:
        blocks += [*(_claim(claim) for claim in run.claims), run.report["retrain"]["equal"]]
    return "\n\n".join((*blocks, f"report.html, report.json and front/ are in {run.folder}"))


def _designs(run: CodesignRun) -> str:
    report = run.report
    if not report["chosen"]:
        return "no design keeps all limits"
    lines = [
        [
            f"{one['name']} ({', '.join(one['roles'])})" if "roles" in one else f"{one['model']}: {one['name']}",
            one.get("chip", ""),
            f"{one['figures']['latency_ns'] / 1e3:.3f}",
            f"{one['figures']['energy_nJ'] / 1e3:.3f}",
            f"{one['figures']['area_mm2']:.3f}",
        ]
        for one in (*report["chosen"], *report["rivals"])
    ]
    head = (
        f"\nfront of {len(report['front']):,} designs out of {report['evaluations']:,}, {report['volume']:.3f} of the "
        "volume"
    )
    return f"{head}\n{text.table(('design', 'chip', 'latency us', 'energy uJ', 'area mm2'), lines, left=2)}"


def _claim(claim: object) -> str:
    head, rows = table_of(claim)  # type: ignore[arg-type]
    return text.table(head, [[cell.replace("\n", ", ") for cell in row] for row in rows])
