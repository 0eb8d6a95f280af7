"""What the benchmarks compute from what they measured; the measuring itself is no test."""

import io
import math
import platform

import pydicom
import pytest

from benchmarks import __main__ as bench
from benchmarks import described, node, scale, studies
from cac.phantom import scan
from triage.dicom import headers, phantom_series


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    made = scan.make(agatston=0, seed=3, increment=3.0, mimics=0, style=scan.Style(matrix=64))
    paths = phantom_series.write_series(made, tmp_path_factory.mktemp("phantom"), seed=3)
    first = pydicom.dcmread(paths[0])
    return studies.Study(
        study_uid=first.StudyInstanceUID,
        series_uid=first.SeriesInstanceUID,
        files=tuple(path.read_bytes() for path in paths),
    )


def test_a_copy_is_another_study_with_the_same_images(original):
    copy = original.copy(7)
    seen = [headers.Header(content) for content in copy.files]
    assert {one.study_instance_uid for one in seen} == {copy.study_uid} != {original.study_uid}
    assert {one.series_instance_uid for one in seen} == {copy.series_uid} != {original.series_uid}
    old = {headers.Header(content).sop_instance_uid for content in original.files}
    assert len({one.sop_instance_uid for one in seen} - old) == len(original.files)
    for before, after in zip(original.files, copy.files, strict=True):
        one, other = (pydicom.dcmread(io.BytesIO(content)) for content in (before, after))
        assert other.file_meta.MediaStorageSOPInstanceUID == other.SOPInstanceUID
        assert (one.PixelData, one.ImagePositionPatient) == (other.PixelData, other.ImagePositionPatient)


def test_copies_differ_from_each_other_and_follow_from_their_number(original):
    assert original.copy(1).study_uid != original.copy(2).study_uid
    assert original.copy(1) == original.copy(1)


@pytest.mark.parametrize(("part", "wanted"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100)])
def test_a_quantile_is_a_value_that_was_measured(part, wanted):
    assert studies.quantile(list(range(100, 0, -1)), part) == wanted
    assert math.isnan(studies.quantile([], part))


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        ([5.0] * 9, False),
        ([5.0, 6.0] * 5, False),
        ([3.0 + number for number in range(9)], True),
        ([5.0] * 8 + [float("inf")], True),
        ([0.1] * 6 + [0.4] * 3, False),
    ],
)
def test_a_wait_that_grows_is_told_from_one_that_varies(times, wanted):
    assert node.grows(times) is wanted


def _level(rate, times):
    study = studies.Study(study_uid="1", series_uid="1.1", files=())
    sent = [node.Sent(study=study, late=0.0, last_slice_at=0.0, seen_at=seconds) for seconds in times]
    return node.Level(rate=rate, sent=sent, steps=[{"settle": 2.0, "queue": 0.5, "nets": seconds} for seconds in times])


def test_the_table_of_the_node_names_the_highest_rate_that_was_sustained():
    levels = [_level(6.0, [4.0] * 9), _level(12.0, [5.0] * 9), _level(15.0, [5.0 + 2 * n for n in range(9)])]
    told = node.table(levels)
    assert "**12.0 studies a minute**, p95 5.00 s" in told
    assert "p95 at 6.0 a minute: **4.00 s**" in told
    assert "| 15.0 | 9 | 13.00 | 21.00 | 21.00 | no | 9 |" in told
    assert "| nets | 4.000 | 4.000 | 61.5 % |" in told
    assert node.service_seconds(levels[0]) == 4.0


def test_a_first_rate_that_is_too_high_is_judged_at_the_one_sustained():
    told = node.table([_level(6.0, [5.0 + 2 * n for n in range(9)]), _level(4.0, [5.0] * 9)])
    assert "p95 at 4.0 a minute: **5.00 s**" in told
    assert "**No rate" in node.table([_level(6.0, [1.0, 9.0, 30.0])])


def test_the_next_rates_rise_towards_what_the_worker_allows_or_fall_below_what_failed():
    assert node.rates(6.0, 20.0, rising=True) == pytest.approx([14, 17, 20, 22])
    assert node.rates(6.0, 7.0, rising=True) == pytest.approx([7, 7.7])
    assert node.rates(6.0, 4.0, rising=False) == pytest.approx([3.6, 3.0, 2.4])
    assert node.rates(6.0, 10.0, rising=False) == pytest.approx([5.4, 4.5, 3.6])


def test_the_ratio_is_that_of_the_mean_rates():
    drained = [
        scale.Drained(workers=workers, studies=20, seconds=seconds, each=1.0, again=0)
        for workers, seconds in ((1, 60.0), (2, 30.0), (2, 40.0), (1, 60.0))
    ]
    assert scale.ratio(drained) == pytest.approx(1.75)
    assert "**1.75** (wanted: at least 1.8)" in scale.table(drained)


def test_the_report_says_what_went_wrong_and_names_no_host():
    part, other = (bench.Part(module=name, title=name.title(), most=1) for name in ("scan", "receive"))
    told = [
        bench.Told(part=part, text="| a |", wrong="", seconds=1.0),
        bench.Told(part=other, text="", wrong="ended with code 1", seconds=2.0),
    ]
    text = bench.report(told)
    assert text.index("| processor |") < text.index("## Scan") < text.index("| a |") < text.index("**receive ended")
    assert platform.node() not in text


def test_a_benchmark_that_is_not_there_is_said_to_be(tmp_path):
    assert bench.run(bench.Part(module="nowhere", title="Nowhere", most=1)).wrong == "is not there"


def test_series_that_are_not_there_are_named_before_any_net_runs(tmp_path, monkeypatch, capsys):
    (tmp_path / "lidc_idri_0002_zero").mkdir()
    (tmp_path / "lidc_idri_0002_zero" / "1.dcm").write_bytes(b"")
    monkeypatch.setattr("sys.argv", ["described", str(tmp_path)])
    with pytest.raises(SystemExit):
        described.main()
    told = capsys.readouterr().err
    assert "no DICOM files in acrin_nsclc_042_marked_calcium, nlst" in told
