"""Splits by patient: the same patient always in the same one, and the stated shares on average."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import errors, splits


@given(patient=st.text(min_size=1), blanks=st.sampled_from(["", " ", "  "]))
def test_a_patient_has_one_split_however_the_identity_is_written(patient, blanks):
    usual = splits.split(patient, splits.Shares())
    assert usual in ("train", "tune", "test")
    assert splits.split(blanks + patient + blanks, splits.Shares()) == usual


def test_a_patient_s_split_is_the_same_on_every_machine():
    found = [splits.split(f"p{number}", splits.Shares()) for number in range(6)]
    assert found == ["train", "test", "train", "train", "tune", "train"]


def test_shares_are_met_on_average():
    found = Counter(splits.split(f"patient {number}", splits.Shares()) for number in range(4000))
    assert abs(found["train"] / 4000 - 0.60) < 0.03
    assert abs(found["tune"] / 4000 - 0.15) < 0.03
    assert abs(found["test"] / 4000 - 0.25) < 0.03


def test_a_larger_share_of_training_moves_nobody_out_of_it():
    few, many = splits.Shares(train=0.3, tune=0.3, test=0.4), splits.Shares(train=0.7, tune=0.1, test=0.2)
    names = [f"patient {number}" for number in range(200)]
    assert all(splits.split(name, many) == "train" for name in names if splits.split(name, few) == "train")


@pytest.mark.parametrize("parts", [(0.5, 0.5, 0.5), (1.2, -0.1, -0.1), (float("nan"), 0.5, 0.5)])
def test_shares_that_make_no_whole_are_refused(parts):
    with pytest.raises(errors.DatasetError):
        splits.Shares(train=parts[0], tune=parts[1], test=parts[2])
