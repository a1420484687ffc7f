"""Look-ups: published timings and energies of DRAM and near-memory ranks; caches under skewed popularity."""

from __future__ import annotations

import numpy as np
import pytest

from nasrec_pim import Hardware, MappingError, measured_popularity, zipf_popularity
from nasrec_pim.memory import Tables, hit_rate, lookup_cost, lookup_ns
from nasrec_pim.memory.lookup import rank_ns

ROW_BITS = 16 * 32
CRITEO = Tables((1000,) * 26, 16)


def memory(*overrides: str) -> Hardware:
    return Hardware.mnsim().override(*(f"memory.{text}" for text in overrides))


@pytest.mark.parametrize(("ranks", "host", "near"), [(1, 165, 165), (2, 113, 95), (4, 113, 62.5), (8, 113, 46.25)])
def test_latency_of_26_rows_of_64_bytes(ranks: int, host: float, near: float) -> None:
    """DDR4-2400: activations bound one rank, the channel bounds several; ranks on their own are bounded by neither."""
    hardware = memory(f"ranks={ranks}")
    assert lookup_ns(26, 26, ROW_BITS, hardware) == pytest.approx(host, rel=5e-3)
    assert rank_ns(26, ROW_BITS, hardware) == pytest.approx(near, rel=5e-3)


def test_energy_of_26_rows_of_64_bytes() -> None:
    """RecNMP's table: 534 nJ from the host or near memory; 252 nJ if all rows were summed into one."""
    assert lookup_cost(CRITEO, memory()).energy_nJ["total"] == pytest.approx(534, rel=1e-3)
    assert lookup_cost(CRITEO, memory("home=near-memory")).energy_nJ["total"] == pytest.approx(534, rel=1e-3)
    pooled = lookup_cost(Tables((1000,), 16), memory("home=near-memory", "pooling=26")).energy_nJ
    assert pooled["total"] - pooled["pooling"] == pytest.approx(252, rel=1e-3)


def test_near_memory_only_pays_with_pooling() -> None:
    for pooling, gains in ((1, False), (8, True)):
        host, near = (
            lookup_cost(CRITEO, memory(f"home={home}", "ranks=8", f"pooling={pooling}")).latency_ns
            for home in ("dram", "near-memory")
        )
        assert (near < 0.8 * host) is gains


def test_reram_tables() -> None:
    cost = lookup_cost(CRITEO, memory("home=reram"))
    assert cost.table_bytes == 26 * 1000 * 64
    assert cost.area_um2 == pytest.approx(cost.table_bytes * 8 * 1.44 * 2.0)
    assert 0 < cost.energy_nJ["total"] < lookup_cost(CRITEO, memory()).energy_nJ["total"]


def test_zipf_is_a_distribution() -> None:
    for rows in (1, 7, 256, 257, 5000, 1_000_000):
        for exponent in (0.0, 0.8, 1.0, 1.3):
            p = zipf_popularity(rows, exponent)
            assert p.counts.sum() == rows and p.counts @ p.shares == pytest.approx(1)
            assert np.all(np.diff(p.shares) <= 1e-15)
    exact = np.arange(1, 5001.0) ** -1.1
    assert zipf_popularity(5000, 1.1).shares[0] == pytest.approx(1 / exact.sum() * exact[0], rel=1e-4)


def test_hit_rate_is_that_of_a_simulated_lru_cache() -> None:
    tables = [zipf_popularity(2000, 1.0), zipf_popularity(300, 0.7)]
    capacity, samples = 200, 30_000
    rng = np.random.default_rng(0)
    shares = [np.repeat(t.shares, t.counts.astype(int)) for t in tables]
    draws = [rng.choice(len(s), samples, p=s / s.sum()) for s in shares]
    cache: dict[tuple[int, int], None] = {}
    hits = total = 0
    for step, rows in enumerate(zip(*draws, strict=True)):
        for key in enumerate(rows):
            if step > samples // 5:
                total, hits = total + 1, hits + (key in cache)
            cache.pop(key, None)
            cache[key] = None
            if len(cache) > capacity:
                del cache[next(iter(cache))]
    assert hit_rate(tables, capacity) == pytest.approx(hits / total, abs=0.01)


def test_hit_rate_at_the_ends() -> None:
    table = zipf_popularity(100, 1.0)
    assert hit_rate([table], 0) == 0 and hit_rate([], 10) == 0
    assert hit_rate([table], 100) == 1
    rates = [hit_rate([table], n) for n in range(1, 100, 7)]
    assert rates == sorted(rates)


def test_measured_popularity() -> None:
    p = measured_popularity([0, 5, 5, 10])
    assert (p.counts.tolist(), p.shares.tolist()) == ([1, 2, 1], [0, 0.25, 0.5])
    cached = lookup_cost(Tables((4,), 16, (p,)), memory("cache_KB=0.0625"))  # one row of 64 bytes
    assert 0 < cached.hit_rate < 1
    for counts in ([], [-1, 2], [0, 0], [float("nan")]):
        with pytest.raises(MappingError, match="counts of a table"):
            measured_popularity(counts)


def test_a_cache_saves_energy_and_time() -> None:
    plain, cached = lookup_cost(CRITEO, memory()), lookup_cost(CRITEO, memory("cache_KB=64"))
    assert cached.energy_nJ["total"] < plain.energy_nJ["total"] and cached.latency_ns < plain.latency_ns
    assert lookup_cost(CRITEO, memory("cache_KB=64", "zipf_exponent=0")).hit_rate < cached.hit_rate
