"""The pages of a ranking study and of a comparison of search algorithms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasrec.reports import rank_figures as pictures
from nasrec.reports.page import MISSING, Page, figure, interval

__all__ = ["page"]

Report = Mapping[str, Any]

_STATISTICS = {
    "pearson": "Pearson",
    "kendall": "Kendall",
    "spearman": "Spearman",
    "kendall_top_half": "Kendall, better half",
    "regret_top_1": "regret, best of 1",
    "regret_top_5": "of 5",
    "regret_top_15": "of 15",
}

_GAINS = ("kendall", "spearman", "kendall_top_half", "regret_top_5")


def page(run: Path, found: Report) -> Page:
    """Of the report in the run's folder."""
    return _comparison(run, found) if "regret" in found else _study(run, found)


def _study(run: Path, found: Report) -> Page:
    ranked = found["ranked"]
    made = Page(
        f"Ranking by shared weights on {found['data']['source']}",
        f"{found['architectures']} architectures, each trained from scratch, against their scores from the supernet.",
    )
    taus = [one["statistics"]["kendall"]["value"] for one in ranked]
    known = [tau for tau in taus if tau is not None]
    best = taus.index(max(known)) if known else None
    tiles = [("architectures", f"{found['architectures']:,}", "trained from scratch")]
    if best is not None:
        tiles.append(("best Kendall", figure(taus[best], "{:.3f}"), f"{ranked[best]['name']}, {_tuned(ranked[best])}"))
    truth = ranked[0]["truth"]
    tiles.append(("test log loss", figure(min(truth)), f"the best; the worst has {max(truth):.5f}"))
    made.tiles(tiles)
    made.heading("How well each way ranks")
    made.table(
        ("supernet", *_STATISTICS.values()),
        [[f"{one['name']}\n{_tuned(one)}", *(_statistic(one, name) for name in _STATISTICS)] for one in ranked],
        caption="With 95 per cent bootstrap intervals over the architectures. Regret: how much worse than the best "
        "architecture the best one is among those that are predicted to be best, in test log loss.",
        marked=[] if best is None else [best],
    )
    if found.get("differences"):
        made.heading("What each choice gains, everything else equal")
        made.table(
            ("what differs", "gain of", "pairs", *(_STATISTICS[name] for name in _GAINS)),
            [[one["trait"], f"{one['of']} over {one['over']}", str(one["pairs"]),
              *(_statistic(one, name) for name in _GAINS)] for one in found["differences"]],
            caption="Mean differences over pairs of rankings that differ in nothing else, with 95 per cent bootstrap "
            "intervals over the architectures. More correlation and less regret are better.",
        )  # fmt: skip
    _picture(made, "scatter.png", pictures.scatter(ranked), "true against predicted log loss, a panel each", _SCATTER)
    _picture(made, "cdf.png", pictures.cdf(ranked), "distribution of true log losses of the best quarter", _CDF)
    settings = dict(found.get("settings", {}))
    groups = {name: settings.pop(name) for name in _GROUPS if isinstance(settings.get(name), Mapping)}
    made.facts(
        {
            "Settings": settings,
            **{words: groups.get(name, {}) for name, words in _GROUPS.items()},
            "Data": found["data"],
            "Environment": found["environment"],
        }
    )
    return made


def _comparison(run: Path, found: Report) -> Page:
    made = Page(
        "Search algorithms on a table of trained architectures",
        f"{found['architectures']} architectures; {found['budget']} asked for in each of {found['seeds']} searches.",
    )
    rows = [[name, *(figure(value[end], "{:.6f}") for end in _ENDS)] for name, value in found["regret"].items()]
    advantage = found["advantage_of_evolution"]
    sure = advantage["low"] > 0 or advantage["high"] < 0
    made.table(
        ("test log loss above the best", "mean", "95% from", "to"), rows,
        totals=[["advantage of evolution", *(figure(advantage[end], "{:.6f}") for end in _ENDS)]],
        caption="At the end of the budget, over the seeds; the advantage is taken seed by seed.",
    )  # fmt: skip
    better = "Regularized evolution finds better" if advantage["mean"] > 0 else "Random search finds better"
    made.words(
        f"{better} architectures on average, and the interval of the difference {'leaves out' if sure else 'holds'} "
        f"zero{'.' if sure else ': these seeds do not tell the two apart.'}"
    )
    alt, name = "mean regret over the budget, with intervals", "contest.png"
    if "curves" in found:
        _picture(made, name, pictures.comparison(found["curves"]), alt, _REGRET)
    elif (run / name).is_file():  # of a version whose reports have no curves
        made.png((run / name).read_bytes(), alt, _REGRET)
    else:
        made.words(f"The picture {name} is not in the folder.")
    made.facts({"Settings": found.get("settings", {}), "Environment": found.get("environment", {})})
    return made


def _picture(made: Page, name: str, picture: bytes, alt: str, caption: str) -> None:
    made.beside[name] = picture
    made.png(picture, alt, caption)


def _statistic(one: Report, name: str) -> str:
    value = one["statistics"].get(name)
    if value is None:
        return MISSING
    return interval(value, "{:.4f}" if name.startswith("regret") else "{:.3f}")


def _tuned(one: Report) -> str:
    return f"last layer fine-tuned, {one['finetune']:,} steps" if one["finetune"] else "not fine-tuned"


_GROUPS = {"space": "Space", "training_from_scratch": "Training from scratch"}
"""Settings that are shown in tables of their own."""
_ENDS = ("mean", "low", "high")
_SCATTER = "Each dot is an architecture: how well it does when trained from scratch, over what the supernet says of it."
_CDF = (
    "Of the quarter of the architectures that each way predicts to be best: what share is at least so good. The "
    "further a line lies to the upper left of that of all architectures, the more a search gains by trusting it."
)
_REGRET = "How far the best architecture found so far is from the best of the table, by architectures asked for."
