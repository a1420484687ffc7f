"""When a design is said to be better at equal log loss."""

from __future__ import annotations

from typing import Any

from nasrec.codesign.claim import claim_of

RIVALS = [{"name": "handcrafted", "model": "dlrm", "claims": {"speed": 1.5, "energy": 1.8}}]


def trained(name: str, mean: float, std: float) -> dict[str, Any]:
    return {"name": name, "scores": {"test": {"log_loss": {"mean": mean, "std": std}}}}


def ratios(name: str, speed: float, energy: float) -> list[dict[str, Any]]:
    common = {"design": name, "rival": "handcrafted"}
    return [
        {**common, "model": "dlrm", "what": "speed", "assumption": "latency of one sample", "ratio": speed},
        {**common, "model": "dlrm", "what": "speed", "assumption": "throughput of a stream", "ratio": 99.0},
        {**common, "model": "dlrm", "what": "energy", "assumption": "one sample alone, everything", "ratio": energy},
        {**common, "model": "dlrm", "what": "area", "assumption": "tiles in use and digital units", "ratio": 0.5},
        {**common, "model": "the same", "what": "energy", "assumption": "one sample alone, everything", "ratio": 99.0},
    ]


def test_a_claim_needs_equal_log_loss_speed_and_energy() -> None:
    reports = [
        trained("good", 0.4029, 0.004),
        trained("fast", 0.39, 0.004),
        trained("cheap", 0.4045, 0.004),
        trained("dlrm", 0.4, 0.002),
        trained("deepfm", 0.3, 0.0),
    ]
    rows = [*ratios("good", 1.5, 1.8), *ratios("fast", 9.0, 1.79), *ratios("cheap", 9.0, 9.0)]
    found = claim_of(reports, rows, RIVALS, "dlrm")
    designs = {one["name"]: one for one in found["designs"]}
    assert found["holds"] == {"handcrafted": ["good"]} and set(designs) == {"good", "fast", "cheap"}
    assert abs(designs["good"]["noise"] - 0.00316228) < 1e-8  # root of (0.004^2 + 0.002^2) / 2
    assert [designs[name]["equal"] for name in ("good", "fast", "cheap")] == [True, True, False]
    assert [designs[name]["against"][0]["holds"] for name in ("good", "fast", "cheap")] == [True, False, True]
    assert designs["good"]["against"] == [
        {"rival": "handcrafted", "speed": 1.5, "energy": 1.8, "area": 0.5, "holds": True}
    ]
