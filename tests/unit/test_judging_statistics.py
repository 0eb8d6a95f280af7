"""The figures by which answers are judged, against published numbers."""

import numpy as np
import pytest
from sklearn import metrics

from training.judging import published
from training.judging import statistics as figures

EXTERNAL = figures.Counts(tp=50, fp=7, fn=0, tn=43)


@pytest.mark.parametrize("name", published.TABLE_2)
def test_the_paper_s_counts_give_its_own_figures(name):
    tp, fp, fn, tn = published.TABLE_2[name]
    counts = figures.Counts(tp=tp, fp=fp, fn=fn, tn=tn)
    for figure, said in zip(published.TABLE_1_FIGURES, published.TABLE_1[name], strict=True):
        # The paper cuts its internal specificity of 0.62 to 0.61 in Table 1, and says 62 % in its text.
        assert figures.estimate(counts, figure).value == pytest.approx(float(said.split("±")[0]), abs=0.011)
    said_kappa = {"paper, internal, dilated": 0.62, "paper, external, dilated": 0.86}[name]
    assert round(figures.estimate(counts, "kappa").value, 2) == said_kappa


def test_kappa_is_that_of_scikit_learn():
    truth = [True] * 54 + [False] * 33
    answer = [True] * 49 + [False] * 5 + [True] * 7 + [False] * 26
    counts = figures.count(truth, answer)
    assert (counts.tp, counts.fp, counts.fn, counts.tn) == (49, 7, 5, 26)
    assert float(figures.kappa(counts.cells)) == pytest.approx(metrics.cohen_kappa_score(truth, answer))


def test_none_of_fifty_missed_shows_no_more_than_a_sensitivity_of_92_9_percent():
    low, high = figures.exact(50, 50)
    assert round(low, 3) == 0.929
    assert high == 1.0
    assert figures.estimate(EXTERNAL, "sensitivity").exact == (low, high)


def test_the_bootstrap_of_a_specificity_lies_about_it_and_is_as_wide_as_the_paper_s():
    found = figures.estimate(EXTERNAL, "specificity")
    low, high = found.bootstrap
    assert low < found.value == 0.86 < high
    assert (high - low) / 2 == pytest.approx(0.11, abs=0.03)
    assert figures.estimate(EXTERNAL, "specificity") == found


def test_what_cannot_be_divided_is_not_a_number():
    assert np.isnan(figures.estimate(figures.Counts(tp=0, fp=0, fn=0, tn=3), "sensitivity").value)
    assert np.isnan(figures.mean([]).value)
    assert np.isnan(figures.dice(0, 0, 0))


@pytest.mark.parametrize(("missed", "needed"), [(0, 72), (1, 110)])
def test_how_many_positives_show_95_percent_follows_from_the_exact_interval(missed, needed):
    assert figures.positives_needed(0.95, missed) == needed
    assert figures.exact(needed - missed, needed)[0] >= 0.95 > figures.exact(needed - 1 - missed, needed - 1)[0]


@pytest.mark.parametrize(("name", "pooled"), [("paper, internal, dilated", 0.39), ("paper, external, dilated", 0.60)])
def test_the_paper_s_volumes_pool_to_a_lower_dice_than_it_says(name, pooled):
    _, tp, fp, fn = published.TABLE_3[name]
    assert round(figures.dice(tp, fp, fn), 2) == pooled


def test_the_icc_is_that_of_shrout_and_fleiss():
    scores = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
    assert round(figures.icc(scores), 2) == 0.29


def test_a_constant_difference_lowers_the_icc_for_it_asks_for_absolute_agreement():
    truth = np.array([0.0, 10, 20, 30])
    assert figures.icc(np.stack([truth, truth], axis=1)) == 1.0
    assert figures.icc(np.stack([truth, truth + 10], axis=1)) < 0.9


def test_bland_altman_gives_the_bias_and_1_96_standard_deviations_about_it():
    truth = np.array([0.0, 10, 20, 30])
    bias, low, high = figures.bland_altman(truth, truth + np.array([1, 3, 1, 3]))
    assert bias == 2.0
    assert (high - bias, bias - low) == pytest.approx((1.96 * np.sqrt(4 / 3),) * 2)


def test_categories_one_apart_disagree_less_than_those_far_apart_when_weighted():
    order = ("0", "1-10", "11-100", "101-400", "> 400")
    truth, near, far = ["0", "1-10", "11-100"], ["1-10", "1-10", "11-100"], ["> 400", "1-10", "11-100"]
    assert figures.agreement(truth, near, order) == pytest.approx(figures.agreement(truth, far, order), abs=0.1)
    assert figures.agreement(truth, near, order, "linear") > figures.agreement(truth, far, order, "linear")
    assert figures.agreement(truth, truth, order, "linear") == 1.0
