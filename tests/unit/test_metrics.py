"""The text that a Prometheus server reads: format 0.0.4."""

import pytest

from triage import metrics


def test_a_histogram_counts_cumulatively_and_a_bound_belongs_to_its_bucket():
    timed = metrics.Histogram("t_seconds", "Time.", (1, 0.5))
    for seconds in (0.1, 0.5, 0.7, 3):
        timed.observe(seconds, (("step", "read"),))
    assert metrics.render([timed.family()]).splitlines() == [
        "# HELP t_seconds Time.",
        "# TYPE t_seconds histogram",
        't_seconds_bucket{step="read",le="0.5"} 2',
        't_seconds_bucket{step="read",le="1"} 3',
        't_seconds_bucket{step="read",le="+Inf"} 4',
        't_seconds_sum{step="read"} 4.3',
        't_seconds_count{step="read"} 4',
    ]


def test_counters_and_gauges_are_one_line_a_set_of_labels():
    runs = metrics.Counter("runs_total", "Runs.")
    runs.add((("outcome", "absent"),))
    runs.add((("outcome", "absent"),))
    told = metrics.render([runs.family(), metrics.gauge("agreed", "Agreed.", {(): True})])
    assert 'runs_total{outcome="absent"} 2\n' in told
    assert told.endswith("# TYPE agreed gauge\nagreed 1\n")


@pytest.mark.parametrize(("value", "written"), [('a"b', r"a\"b"), ("a\\b", r"a\\b"), ("a\nb", r"a\nb")])
def test_a_label_cannot_break_the_format(value, written):
    assert f'g{{x="{written}"}} 1' in metrics.render([metrics.gauge("g", "G.", {(("x", value),): 1})])
