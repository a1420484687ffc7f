"""`nasrec profile`: table, JSON, trace, picture, and one line for everything that cannot be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import torch

import nasrec
from nasrec import FeatureSpec, Genotype
from nasrec.profiling import measure, measure_peaks

QUICK = ("--batch", 6, "--rounds", 2)


@pytest.fixture(autouse=True)
def peaks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peaks are measured once for all tests of a process: their values do not matter to them."""
    monkeypatch.setattr(measure, "measure_peaks", lambda device, again=False: measure_peaks(device))


@pytest.mark.parametrize("what", ["forward", "train", "supernet"])
def test_table_has_every_node_in_order(cli: Any, own: Path, columns: Any, what: str) -> None:
    done = cli("profile", own, *columns, *QUICK, "--what", what)
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("----"))
    names = [line.split()[0] for line in lines[begin + 1 : lines.index("", begin)]]
    graph = nasrec.graph_of(Genotype.load(own), FeatureSpec(3, [11] * 4))
    if what != "supernet":
        assert names[: len(graph) - 2] == [node.id for node in graph if node.op != "input"]
    assert names[-2:] == ["unaccounted", "total,"]
    assert "plain PyTorch" in done.out and "GFLOP/s matrix products" in done.out
    assert ("backward us" in done.out) == (what != "forward")
    assert ("lowering" in names) == (what == "supernet")


def test_json(cli: Any, own: Path, columns: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    found = cli("profile", own, *columns, *QUICK, "--json", "--threads", 1, "--compare", "none").json
    assert (found["name"], found["what"], found["batch"], found["rounds"]) == ("little", "forward", 6, 2)
    machine = found["machine"]
    assert machine["threads"] == found["peaks"]["threads"] == 1
    assert machine["omp_wait_policy"] == "passive"
    assert machine["packages"]["torch"] and machine["cpu"]
    assert list(found["rivals"]) == ["ours"]
    totals = found["totals"]
    assert totals["nodes_us"] + totals["unaccounted_us"] == pytest.approx(totals["us"])
    assert {"id", "op", "forward_us", "macs", "bytes", "gflops", "gb_s", "share"} <= set(found["nodes"][0])
    assert found["features"] == FeatureSpec(3, [11] * 4).to_dict()


def test_the_former_word_for_compare(cli: Any, own: Path, columns: Any) -> None:
    assert "--rivals" not in cli("profile", "--help").out
    assert list(cli("profile", own, *columns, *QUICK, "--rivals", "none", "--json").json["rivals"]) == ["ours"]


def test_threads_are_put_back(cli: Any, own: Path, columns: Any) -> None:
    before = torch.get_num_threads()
    assert cli("profile", own, *columns, *QUICK, "--threads", before + 1).status == 0
    assert torch.get_num_threads() == before


def test_trace_and_roofline(cli: Any, own: Path, tmp_path: Path, columns: Any) -> None:
    trace, svg, png = tmp_path / "t.json", tmp_path / "r.svg", tmp_path / "r.PNG"
    done = cli("profile", own, *columns, *QUICK, "--trace", trace, "--roofline", svg)
    assert done.status == 0 and str(trace) in done.out and str(svg) in done.out
    events = json.loads(trace.read_text())["traceEvents"]
    assert {"forward", "embedding", "b0", "final"} <= {event["name"] for event in events}
    assert "little: forward" in svg.read_text()
    ElementTree.parse(svg)
    shown = cli("profile", own, *columns, *QUICK, "--roofline", png, "--json").json
    assert shown["roofline"] == str(png) and shown["trace"] is None
    assert png.read_bytes().startswith(b"\x89PNG")
    assert sorted(tmp_path.iterdir()) == sorted([own, trace, svg, png])


def test_data_spec_and_preset_and_baseline(cli: Any, own: Path, tmp_path: Path, columns: Any) -> None:
    spec = tmp_path / "columns.json"
    spec.write_text(json.dumps({"num_dense": 2, "cardinalities": [3, 4], "embedding_dim": 8}))
    found = cli("profile", own, "--data", spec, *QUICK, "--json").json
    assert found["features"] == {"num_dense": 2, "cardinalities": [3, 4], "embedding_dim": 8}
    assert cli("profile", "dlrm", *columns, *QUICK, "--what", "train").status == 0
    cli("profile", "dlrm", *columns, *QUICK, "--what", "supernet").fails_with("dlrm", "--what")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--batch", 0], ["--batch", "0 is out of range"]),
        (["--batch", -5], ["--batch", "-5"]),
        (["--batch", "many"], ["--batch", "many"]),
        (["--batch", 2_000_000_000], ["2,000,000,000 rows", "GiB", "fewer rows"]),
        (["--batch", 2_000_000_000, "--what", "supernet"], ["2,000,000,000 rows", "GiB"]),
        (["--device", "abacus"], ["--device", "abacus"]),
        (["--what", "backward"], ["--what", "backward"]),
        (["--masking", "none"], ["--masking", "none"]),
        (["--compare", "onnx"], ["--compare", "onnx", "eager"]),
        (["--compare", ""], ["--compare", "''"]),
        (["--rivals", "onnx"], ["--rivals", "onnx", "eager"]),
        (["--what", "supernet", "--weights", "w.pt"], ["--weights", "leave out"]),
        (["--threads", 0], ["--threads", "0"]),
        (["--rounds", 0], ["--rounds", "0"]),
        (["--roofline", "picture.gif"], ["picture.gif", ".svg or .png"]),
        (["--roofline", "svg"], ["svg", ".svg or .png"]),
        (["--embedding-dim", 4096, "--cardinality", 2_000_000_000], ["GiB"]),
    ],
)
def test_bad_input(cli: Any, own: Path, columns: Any, options: list[object], words: list[str]) -> None:
    cli("profile", own, *columns, *options).fails_with(*words)


@pytest.mark.parametrize("word", ["full_width", "published"])
def test_the_former_word_for_a_masking(cli: Any, own: Path, columns: Any, word: str) -> None:
    found = cli("profile", own, *columns, *QUICK, "--what", "supernet", "--masking", word, "--json").json
    assert found["masking"] == "published"


def test_bad_genotypes(cli: Any, tmp_path: Path, columns: Any) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"format": "nasrec.genotype"')
    cli("profile", broken, *columns).fails_with("broken.json")
    cli("profile", tmp_path / "none.json", *columns).fails_with("none.json", "cannot be read")
    cli("profile", "criteo", *columns).fails_with("criteo", "criteo-full")
    cli("profile", "dlrm").fails_with("--dense", "--sparse")


def test_paths_that_cannot_be_written_cost_no_waiting(
    cli: Any, own: Path, tmp_path: Path, columns: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: object, **options: object) -> None:
        raise AssertionError("timed before the path was looked at")

    monkeypatch.setattr("nasrec.profiling.profile_graph", never)
    cli("profile", own, *columns, "--trace", tmp_path / "no" / "t.json").fails_with("t.json: cannot be written")
    cli("profile", own, *columns, "--trace", tmp_path).fails_with("is not a regular file")
    cli("profile", own, *columns, "--roofline", tmp_path / "no" / "r.svg").fails_with("r.svg: cannot be written")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_cuda_without_a_card(cli: Any, own: Path, columns: Any) -> None:
    cli("profile", own, *columns, "--device", "cuda").fails_with("no CUDA device", "--device")


def test_an_earlier_file_survives_an_interrupt(
    cli: Any, own: Path, tmp_path: Path, columns: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nasrec.profiling.measure._nodes", interrupt)
    trace = tmp_path / "t.json"
    trace.write_text("earlier")
    done = cli("profile", own, *columns, *QUICK, "--trace", trace)
    assert (done.status, done.out, done.err) == (130, "", "nasrec: interrupted\n")
    assert trace.read_text() == "earlier"
    assert sorted(tmp_path.iterdir()) == sorted([own, trace])


def test_ctrl_c_while_timing(own: Path, columns: Any) -> None:
    command = [sys.executable, "-m", "nasrec", "profile", str(own), *map(str, columns), "--rounds", "100000", "-v"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()  # said when timing begins
    assert "timing" in line, line
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.endswith("nasrec: interrupted\n") and "Traceback" not in err
