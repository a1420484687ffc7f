"""The page of a co-design: the front, the chosen designs against rivals, and what came of training them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nasrec.codesign import DESIGN, Design
from nasrec.draw import draw_architecture
from nasrec.reports import codesign_figures as figures_of
from nasrec.reports.claim import HOLDS, table_of
from nasrec.reports.page import Page, figure, seconds
from nasrec.search import Goal, Trial
from nasrec.search.journal import read_journal

__all__ = ["page"]

Report = Mapping[str, Any]

SHOWN = 40
"""Designs of the front in the table, evenly spread."""


def page(run: Path, found: Report) -> Page:
    """Of the report and the pictures in the run's folder."""
    goal = Goal.from_settings(found["settings"])
    wanted = ", ".join(map(str, goal.objectives)) + "".join(f"; {limit}" for limit in goal.limits)
    made = Page(f"Co-design on {found['data']['source']}", f"{found['settings']['algorithm']}: {wanted}")
    made.tiles(_tiles(found))
    if not found["chosen"]:
        made.words("No design kept all limits. Loosen one of them, or search longer.")
    else:
        _add_front(made, run, found, goal)
        _add_chosen(made, run, found)
        if "retrain" in found:
            _add_trained(made, found)
        _add_ratios(made, found)
    made.facts(
        {
            "Search": found["settings"],
            "Cost": {"search": seconds(found["evaluation_s"]), "designs in the space": found["designs"]},
            "Hardware choices": {name: f"{gene['choices']}: {gene['source']}" for name, gene in found["genes"].items()},
            "Models": found["identity"]["space"]["model"],
            "Data": found["data"],
            "Environment": found["environment"],
        }
    )
    return made


def _tiles(found: Report) -> list[tuple[str, str, str]]:
    tiles = []
    by_name = {one["name"]: one for one in found["chosen"]}
    for claim in found.get("retrain", {}).get("claims", []):
        for rival, names in claim["holds"].items():
            words = _claimed(next(one["claims"] for one in found["rivals"] if one["name"] == rival))
            what = f"{claim['handcrafted']} on {rival}"
            tiles.append((what, "beaten" if names else "not beaten", f"{words} at equal log loss"))
    knee = next((one for one in by_name.values() if "knee" in one["roles"]), None)
    if knee is not None:
        tiles.append(("knee: latency", f"{knee['figures']['latency_ns'] / 1e3:.3f} us", knee["name"]))
        tiles.append(("knee: energy", f"{knee['figures']['energy_nJ'] / 1e3:.3f} uJ", knee["chip"]))
    tiles.append(("on the front", str(len(found["front"])), f"{found['volume']:.3f} of the volume that was tried"))
    rate = found["evaluations"] / max(1e-9, found["evaluation_s"]) * 3600
    tiles.append(("evaluated", f"{found['evaluations']:,}", f"{rate:,.0f} an hour and worker"))
    return tiles


def _add_front(made: Page, run: Path, found: Report, goal: Goal) -> None:
    made.heading("Front")
    journal = run / "journal.jsonl"
    picture = figures_of.draw(read_journal(journal, DESIGN)[1], goal, found) if journal.is_file() else None
    if picture is not None:
        made.beside["front.png"] = picture
        made.png(picture, "all designs by log loss and cost, and the front", _FRONT)
    made.words(found["knee"])
    trials = [Trial.from_dict(trial, DESIGN) for trial in found["front"]]
    first = goal.objectives[0]
    ordered = sorted(trials, key=lambda trial: first.of(trial.values))
    step = max(1, -(-len(ordered) // SHOWN))
    roles = {one["trial"]: ", ".join(one["roles"]) for one in found["chosen"]}
    shown = [trial for place, trial in enumerate(ordered) if place % step == 0 or trial.number in roles]
    names = list(dict.fromkeys([*goal.names, *shown[0].values]))
    genes = list(found["genes"])
    made.table(
        ("design", *(name.replace("_", " ") for name in names), *genes, "bits of the model", "live blocks"),
        [
            [f"{trial.number}\n{roles.get(trial.number, '')}", *_row(trial, names, genes)]
            for trial in shown
        ],
        caption="Log losses are those of shared weights. Files front/design-N.json and front/design-N.toml hold each: "
        "nasrec pim map front/design-N.json --hardware front/design-N.toml.",
        marked=[place for place, trial in enumerate(shown) if trial.number in roles],
    )  # fmt: skip


def _row(trial: Trial[Design], names: Sequence[str], genes: Sequence[str]) -> list[str]:
    genotype, chip = trial.candidate.genotype, dict(trial.candidate.hardware)
    bits = [bits for index in genotype.live_blocks() for bits in genotype.blocks[index].operator_bits]
    counted = ", ".join(f"{bits.count(n)} of {n}" for n in sorted(set(bits))) or "none"
    values = [figure(trial.values.get(name), "{:,.6g}") for name in names]
    live = f"{len(genotype.live_blocks())} of {len(genotype.blocks)}"
    return [*values, *(str(chip[name]) for name in genes), counted, live]


def _add_chosen(made: Page, run: Path, found: Report) -> None:
    made.heading("Chosen designs")
    rows = [
        [f"{one['name']}\n{', '.join(one['roles'])}", one["chip"], *_figures(one["figures"])] for one in found["chosen"]
    ]
    rows += [
        [f"{one['model']}\n{one['name']}", one["assumption"], *_figures(one["figures"])] for one in found["rivals"]
    ]
    head = ("design", "chip", "latency us", "interval us", "energy uJ", "in a stream uJ", "area mm2", "tiles")
    made.table(head, rows, caption="Handcrafted designs below.", marked=range(len(found["chosen"])))
    designs = {trial["number"]: Design.from_dict(trial["design"]) for trial in found["front"]}
    pictures = []
    for one in found["chosen"]:
        if one["roles"] != ["between"]:
            text = draw_architecture(replace(designs[one["trial"]].genotype, name=one["name"]))
            words = ", ".join(one["roles"])
            pictures.append((text, f"{words[:1].upper()}{words[1:]}: {one['chip']}."))
    if (run / "floorplan.svg").is_file():
        words = f"Tiles of {found['chosen'][0]['name']}, coloured by the node whose matrix they hold."
        pictures.append(((run / "floorplan.svg").read_text(encoding="utf-8"), words))
    made.svg(*pictures)
    knee = found["chosen"][0]
    made.facts(
        {f"Chip of {knee['name']}": knee["hardware"], "Its energy, nJ": knee["figures"]["energy_by_component_nJ"]}
    )


def _figures(found: Report) -> list[str]:
    scaled = [found[name] / 1e3 for name in ("latency_ns", "interval_ns", "energy_nJ", "stream_energy_nJ")]
    return [*(figure(value, "{:.3f}") for value in (*scaled, found["area_mm2"])), str(found["tiles"])]


def _add_trained(made: Page, found: Report) -> None:
    trained = found["retrain"]
    made.heading("Trained from scratch")
    if trained["interrupted"]:
        made.words("Interrupted: the same command on the folder goes on.")
    made.table(
        ("model", "chip", "test log loss", "test AUC", "MACs"),
        [
            [
                one["name"],
                one["hardware"],
                *(_spread(one["scores"]["test"][name]) for name in ("log_loss", "auc")),
                figure(one["model"].get("macs"), "{:,.0f}"),
            ]
            for one in trained["models"]
        ],
        caption="Mean over the seeds, deviation below; the learning rate is chosen on validation rows.",
    )
    for claim in trained.get("claims", []):
        _add_claim(made, claim, trained["equal"], found["rivals"])
    made.heading("On simulated crossbars")
    for kind, words in _TUNED.items():
        rows = [_on_chip(one, kind) for one in trained["models"] if kind in one["on_chip"][0]]
        if rows:
            head = ("model", "as trained", "quantised", "converters", "chips with faults", "worst chip")
            made.table(head, rows, caption=words)


def _add_claim(made: Page, claim: Report, equal: str, rivals: Sequence[Report]) -> None:
    head, rows = table_of(claim)
    claimed = {rival["name"]: _claimed(rival["claims"]) for rival in rivals}
    words = "; ".join(f"{name} {claims}" for name, claims in claimed.items())
    made.table(
        head,
        rows,
        caption=f"{equal} The paper's claims: {words}.",
        marked=[place for place, row in enumerate(rows) if row[-1] == HOLDS],
    )


def _on_chip(model: Report, kind: str) -> list[str]:
    """Test log losses of the simulated rows, means over the seeds; those of chips over all chips of all seeds."""
    found = [one[kind] for one in model["on_chip"]]
    named = [[one[name]["log_loss"] for one in found] for name in ("model", "quantised", "converters")]
    chips = [chip["log_loss"] for one in found for chip in one["chips"]]
    return [model["name"], *(figure(sum(v) / len(v)) for v in (*named, chips)), figure(max(chips))]


def _add_ratios(made: Page, found: Report) -> None:
    made.heading("Against handcrafted designs, by assumption")
    knee = found["chosen"][0]["name"]
    rows: dict[tuple[str, str], dict[str, Report]] = {}
    for row in found["ratios"]:
        if row["design"] == knee:
            rows.setdefault((row["rival"], row["model"]), {})[f"{row['what']}: {row['assumption']}"] = row
    meanings = list(dict.fromkeys(meaning for group in rows.values() for meaning in group))
    made.table(
        ("against", "model there", *meanings),
        [
            [rival, model, *(f"{group[meaning]['ratio']:.2f}x" for meaning in meanings)]
            for (rival, model), group in rows.items()
        ],
        caption=f"By how much {knee} is better; report.json has the other chosen designs. Not at equal log loss: the "
        "table of trained models says whose is. Pooling factor 1; memory, mesh and digital units as the hardware says.",
    )


def _claimed(claims: Mapping[str, float]) -> str:
    return f"{claims['speed']}x speed and {claims['energy']}x energy"


def _spread(found: Report) -> str:
    return f"{figure(found['mean'])}\n± {figure(found['std'])}"


_FRONT = (
    "Grey dots: designs by shared weights. Red: the front, its knee circled, chosen designs numbered. Diamonds and "
    "crosses: trained from scratch, on test rows; a dashed line is a handcrafted design whose model was not trained."
)
_TUNED = {
    "trained": "Test log loss of the first rows, as trained. Quantised: precisions of weights and activations alone; "
    "converters: on crossbars with exact cells; chips: cells that vary and stick, and read noise.",
    "tuned": "After some more steps without noise, for comparison with the next table.",
    "tuned for noise": "After as many steps of which every other one saw the weights as a chip's cells hold them.",
}
