"""The benchmark: the same cases, no work done twice, tables that say what the rows say."""

from dataclasses import replace

import pytest

from napari_stem_inpaint import benchmark
from napari_stem_inpaint.benchmark import Case, Row
from napari_stem_inpaint.cli import main
from napari_stem_inpaint.errors import InputError
from napari_stem_inpaint.params import BenchmarkParams

CASE = Case("Si [001]", True, 0.02, "random", 0.25, 1000, 64, 3)
FAST = BenchmarkParams(suite="quick", solvers="nearest,linear", device="cpu")


def row(case: Case = CASE, solver: str = "gp", sre: float = 20.0, **values: object) -> Row:
    return Row(case, solver, str(values.get("checkpoint", "")), 1.5, dict.fromkeys(benchmark.SCORES, 0.5) | {"sre_db": sre})


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(benchmark, "cases", lambda params: iter([CASE, replace(CASE, seed=4)]))


def test_the_suite_has_every_condition_once():
    sizes = {name: list(benchmark.cases(BenchmarkParams(suite=name))) for name in ("quick", "standard", "full")}
    assert [len(found) for found in sizes.values()] == [8, 2 * 4 * (8 * 2 + 8 * 2 + 4), 6 * 2 * 4 * 3 * 4 * 4 * 8]
    for found in sizes.values():
        assert len(set(found)) == len(found)
    assert set(sizes["standard"]) < set(sizes["full"])


def test_its_crystals_are_in_no_training():
    from napari_stem_inpaint.simulation.training_scenes import HELD_OUT

    assert {name.partition(" ")[0] for name in benchmark.MAIN + benchmark.OTHER} <= set(HELD_OUT)


def test_a_case_is_the_same_for_everyone():
    frame = CASE.frame()
    a, b = CASE.measurement(frame), CASE.measurement(CASE.frame())
    assert (a.values == b.values).all()
    assert a.mask.sum() == 64 * 64 // 4
    assert a.noise == "poisson"
    assert replace(CASE, counts=0).measurement(frame).noise == "none"


def test_what_is_done_is_not_done_again(tmp_path, small):
    steps = benchmark.run(FAST, tmp_path)
    first, share = next(steps)
    steps.close()
    assert share == 0.25
    rest = [row for row, _ in benchmark.run(FAST, tmp_path)]
    assert [r.method for r in (first, *rest)] == [("nearest", ""), ("linear", "")] * 2
    assert not list(benchmark.run(FAST, tmp_path))


def test_rows_come_back(tmp_path):
    rows = [row(), row(solver="apgd", checkpoint="stem-tiny", sre=31.25), row(replace(CASE, defective=False, counts=0))]
    benchmark.write_rows(tmp_path, rows)
    assert benchmark.read_rows(tmp_path) == rows


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", ",".join(benchmark.COLUMNS) + "\nSi,True,x\n"])
def test_another_table_is_refused(tmp_path, text):
    (tmp_path / "rows.csv").write_text(text)
    with pytest.raises(InputError, match="choose another folder"):
        benchmark.read_rows(tmp_path)


def test_the_table_gives_means_and_marks_the_best():
    rows = [row(sre=20), row(replace(CASE, seed=4), sre=22), row(solver="apgd", checkpoint="mine", sre=30)]
    head, _, line, seconds = benchmark.tables(rows).splitlines()
    assert head.endswith("| gp | apgd (mine) |")
    assert line == "| Si [001], GaN, Au, CeO2 | defective | 0.20 | random | 25% | 1000 | 2 | 21.0 ± 1.0 | **30.0 ± 0.0** |"
    assert seconds.endswith("| 1.5 | 1.5 |")


def test_the_command_writes_tables_and_figures(tmp_path, small, capsys):
    pytest.importorskip("matplotlib")
    words = ["benchmark", "--suite", "quick", "--solvers", "nearest,linear", "--out", str(tmp_path / "new")]
    assert main(words) == 0
    assert {f.name for f in (tmp_path / "new").iterdir()} == {"rows.csv", "tables.md", "time.png"}
    assert (tmp_path / "new" / "tables.md").read_text() in capsys.readouterr().out


@pytest.mark.parametrize(("words", "said"), [("--solvers magic", "magic is no solver"), ("--solvers ,", "nothing is no solver")])
def test_unknown_solvers_are_refused(tmp_path, capsys, words, said):
    assert main(["benchmark", *words.split(), "--out", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err
