"""Tables from rows made by hand: who counts as what, and what must stand below every table."""

import dataclasses

import pytest

from tests import judged
from training.judging import detail, paper, report, rows, tables
from training.judging import statistics as figures

PAPER = (
    [judged.row(name=f"zero{n}") for n in range(43)]
    + [judged.row(name=f"kept{n}", outcome="indeterminate") for n in range(4)]
    + [judged.row(name=f"seen{n}", outcome="present", fp=30.0, found=4.0) for n in range(2)]
    + [judged.row(name="metal", outcome="unsuitable", found=None)]
    + [judged.positive(name=f"cac{n}", outcome=("present", "indeterminate")[n % 2]) for n in range(50)]
)


def _cells(table, *start):
    return next(cells for cells in table.body if cells[: len(start)] == start)


def test_unsuitable_and_indeterminate_count_as_not_excluded():
    (group,) = tables.groups(PAPER)
    assert paper.confusion(group) == figures.Counts(tp=50, fp=7, fn=0, tn=43)


def test_table_1_stands_beside_the_paper_s_rows_and_agrees_with_them_where_the_counts_do():
    table = paper.table_1(tables.groups(PAPER), paper.PROTOCOL)
    ours = _cells(table, "internal", "dilated")
    theirs = _cells(table, "paper, external", "dilated")
    assert ours[2:4] == (50, 50)
    for place in range(4, 8):
        assert ours[place][:4] == theirs[place][:4]
    assert "exact 0.93-1.00" in ours[5]


def test_only_agatston_10_to_20_and_zero_stand_in_the_paper_s_protocol():
    others = [judged.positive(name="small", true=0.4, outcome="absent"), judged.positive(name="large", true=300.0)]
    (group,) = tables.groups([*PAPER, *others])
    assert paper.confusion(group) == figures.Counts(tp=50, fp=7, fn=0, tn=43)
    assert paper.confusion(group, rows.STRATA) == figures.Counts(tp=51, fp=7, fn=1, tn=43)


@pytest.mark.parametrize(
    ("true", "stratum"),
    [(0.0, "1-10"), (0.5, "1-10"), (10.0, "1-10"), (20.0, "10-20"), (100.0, "20-100"), (101, "> 100")],
)
def test_calcium_never_stands_in_stratum_zero_however_low_its_score(true, stratum):
    assert judged.positive(true=true).stratum == stratum


def test_pooled_dice_adds_volumes_and_the_mean_adds_coefficients():
    scans = [judged.positive(name="b", tp=20.0, fp=10.0, fn=20.0), judged.positive(name="c", tp=0.0, fp=0.0, fn=1.0)]
    cells = _cells(paper.table_3(tables.groups(scans)), "internal", "dilated", "with calcium")
    assert cells[3] == 2
    assert cells[4].startswith(f"{(40 / 70 + 0) / 2:.2f} ")
    assert cells[5] == f"{40 / 71:.2f}"
    assert cells[6:] == (10.0, 5.0, 10.5)


def test_table_4_has_ours_first_and_then_the_published_columns():
    table = paper.table_4(tables.groups(PAPER))
    assert table.head[:3] == ("", "ours, internal, dilated", "van den Oever 2020")
    assert _cells(table, "FP")[1:3] == ("7", "7")


def test_a_positive_called_absent_breaks_a_demand_and_is_named():
    missed = judged.positive(name="lost", outcome="absent")
    table = detail.demands(tables.groups([*PAPER, missed]))
    assert "a miss" in table.body[0][-1]
    assert "internal lost dilated (Agatston 15.0)" in table.notes[1]
    assert "a miss" not in detail.demands(tables.groups(PAPER)).body[0][-1]


def test_a_lesion_beyond_the_heart_envelope_breaks_a_demand_and_its_scan_is_named():
    found = tables.groups([*PAPER, judged.positive(name="high", cut=1)])
    assert "envelope" in detail.demands(found).body[0][-1]
    assert detail.envelope(found).body == (("internal", 51, 0, 1, "high"),)


def test_false_candidates_are_counted_by_class_and_true_ones_are_not():
    spots = (judged.spot(0.9, what="aortic_valve"), judged.spot(0.9, true=True, what="LAD"))
    found = tables.groups([judged.row(spots=spots, faint={"noise": 7})])
    lines = [cells[2:] for cells in detail.false(found).body]
    assert lines == [("aortic_valve", 0, 1, 0, 0), ("noise", 0, 0, 7, 0)]


def test_an_artery_is_accepted_in_doubt_only_or_missed():
    lad = rows.Artery(true=8.0, found=6.0, accepted=True, doubted=True)
    lost = dataclasses.replace(lad, found=0.0, accepted=False)
    gone = dataclasses.replace(lost, doubted=False)
    scans = [judged.positive(name=str(n), arteries={"LAD": each}) for n, each in enumerate((lad, lost, gone))]
    assert _cells(detail.arteries(tables.groups(scans)), "internal", "dilated", "LAD")[3:] == (3, 1, 1, 1, 8.0, 2.0)


def test_scans_without_a_score_are_left_out_of_the_icc_and_counted():
    cells = _cells(detail.agreement(tables.groups(PAPER)), "internal", "dilated")
    assert cells[2:4] == (99, 1)


def test_every_table_file_and_picture_says_what_synthetic_data_measure(tmp_path):
    text = report.write(PAPER, tmp_path)
    assert text == (tmp_path / report.REPORT).read_text()
    assert text.count(tables.SYNTHETIC) == text.count("\n## ") + 1
    for path in tmp_path.glob("*.csv"):
        assert tables.SYNTHETIC in path.read_text().splitlines()[-1], path.name
    assert {path.name for path in tmp_path.glob("*.png")} >= {"bland-altman.png", "outcomes.png", "false.png"}


def test_tables_of_real_scans_say_nothing_of_synthetic_data(tmp_path):
    text = report.write([judged.row(synthetic=False), judged.positive(synthetic=False)], tmp_path)
    assert tables.SYNTHETIC not in text


def test_of_a_mixture_the_synthetic_sets_are_named():
    said = tables.caution([judged.row(), judged.row(set_name="coca/test", synthetic=False)])
    assert said == f"internal: {tables.SYNTHETIC}"


def test_the_plain_rule_stands_last_in_each_set_and_the_architectures_in_the_paper_s_order():
    ways = ("dilated", rows.THRESHOLD, "plain")
    found = tables.groups([judged.row(way=way, set_name=name) for name in ("b", "a") for way in ways])
    assert [group.title for group in found] == [
        (name, way) for name in ("b", "a") for way in ("plain", "dilated", rows.THRESHOLD)
    ]
