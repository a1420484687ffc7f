"""What the public click logs look like from outside: columns, table sizes, gaps, click rates.

Table sizes and shares of missing values are the published statistics of the full data sets. Sources: Criteo Display
Advertising Challenge (sizes as DLRM's preprocessing counts them, arXiv:1906.00091), Avazu CTR Prediction and KDD Cup
2012 track 2 (data descriptions), Frappe (arXiv:1505.03014, as in the Frappe_x1 benchmark). The medians of Criteo's
integer columns are rounded.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PROFILES", "DenseColumn", "Profile", "SparseColumn"]


@dataclass(frozen=True)
class DenseColumn:
    """A skewed count: floor of a log-normal with this median; `spread` is the deviation of its logarithm."""

    name: str
    median: float
    spread: float
    missing: float  # share of rows without a value
    negative: float = 0.0  # share of rows with a small negative value (a code, in Criteo's second column)


@dataclass(frozen=True)
class SparseColumn:
    name: str
    cardinality: int  # distinct values of the full data set
    missing: float = 0.0


@dataclass(frozen=True)
class Profile:
    kind: str
    title: str
    click_rate: float
    dense: tuple[DenseColumn, ...]
    sparse: tuple[SparseColumn, ...]


# (median, spread of the logarithm, missing) of I1..I13
_CRITEO_DENSE = (
    (1, 1.3, 0.454), (3, 1.9, 0.0), (6, 1.4, 0.215), (4, 1.2, 0.217), (2800, 2.2, 0.026), (32, 1.7, 0.224),
    (3, 1.6, 0.043), (7, 1.2, 0.001), (38, 1.5, 0.043), (1, 0.7, 0.454), (1, 1.1, 0.043), (1, 0.9, 0.765),
    (4, 1.2, 0.217),
)  # fmt: skip
_CRITEO_CARDINALITIES = (
    1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194, 27, 14992, 5461306, 10, 5652,
    2173, 4, 7046547, 18, 15, 286181, 105, 142572,
)  # fmt: skip
_CRITEO_MISSING = {
    3: 0.034, 4: 0.034, 6: 0.121, 12: 0.034, 16: 0.034, 19: 0.44, 20: 0.44, 21: 0.034, 22: 0.763, 24: 0.034, 25: 0.44,
    26: 0.44,
}  # fmt: skip

_AVAZU = (
    "hour_of_day:24 weekday:7 C1:7 banner_pos:7 site_id:4737 site_domain:7745 site_category:26 app_id:8552 "
    "app_domain:559 app_category:36 device_id:2686408 device_ip:6729486 device_model:8251 device_type:5 "
    "device_conn_type:4 C14:2626 C15:8 C16:9 C17:435 C18:4 C19:68 C20:172 C21:60"
)
_KDD = (
    "display_url:26273 ad_id:641707 advertiser_id:14847 query_id:24122076 keyword_id:1188089 title_id:3735796 "
    "description_id:2934101 user_id:22023547 gender:3 age:6"
)
_FRAPPE = "user:957 item:4082 daytime:7 weekday:7 isweekend:2 homework:3 cost:2 weather:9 country:80 city:233"


def _columns(text: str) -> tuple[SparseColumn, ...]:
    pairs = (entry.split(":") for entry in text.split())
    return tuple(SparseColumn(name, int(size)) for name, size in pairs)


PROFILES: dict[str, Profile] = {
    "criteo": Profile(
        "criteo",
        "Criteo Display Advertising",
        0.256,
        tuple(
            DenseColumn(f"I{i}", *column, negative=0.1 if i == 2 else 0.0)
            for i, column in enumerate(_CRITEO_DENSE, start=1)
        ),
        tuple(
            SparseColumn(f"C{i}", size, _CRITEO_MISSING.get(i, 0.0))
            for i, size in enumerate(_CRITEO_CARDINALITIES, start=1)
        ),
    ),
    "avazu": Profile("avazu", "Avazu", 0.170, (), _columns(_AVAZU)),
    "kdd": Profile(
        "kdd",
        "KDD Cup 2012 track 2",
        0.0445,
        (
            DenseColumn("impression", 1, 0.6, 0.0),
            DenseColumn("depth", 2, 0.4, 0.0),
            DenseColumn("position", 1, 0.5, 0.0),
        ),
        _columns(_KDD),
    ),
    "frappe": Profile("frappe", "Frappe", 1 / 3, (), _columns(_FRAPPE)),
}
