import os
import pathlib
import re
import subprocess
import sys

import pytest

from triage import errors, spool

STUDY, SERIES, SOP = "1.2.3", "1.2.3.4", "1.2.3.4.5"
FILE = b"\0" * 128 + b"DICM\x02\x00\x00\x00UL\x04\x00\x04\x00\x00\x00METAdata set"


def test_an_object_lies_under_its_uids_as_it_came(tmp_path):
    kept = spool.Spool(tmp_path)
    stored = kept.store(STUDY, SERIES, SOP, FILE)
    assert stored.path == "1.2.3/1.2.3.4/1.2.3.4.5.dcm"
    assert stored.size == len(FILE)
    assert kept.absolute(stored.path).read_bytes() == FILE
    assert kept.find(stored.path) == stored


def test_the_hash_does_not_depend_on_the_file_meta():
    other_meta = FILE.replace(b"META", b"OURS")
    assert spool.Content.of_file(FILE).body == b"data set"
    assert spool.Content.of_file(FILE).sha256 == spool.Content.of_file(other_meta).sha256


@pytest.mark.parametrize(
    "uid", ["", "..", "../1.2", "1.2/3", "/etc/passwd", "1..2", "1.2.", ".1", "1.2\n", "1.2\0", "1.a", "1" * 65, "１.2"]
)
def test_a_uid_that_could_leave_the_spool_is_refused_before_a_file_is_touched(tmp_path, uid):
    kept = spool.Spool(tmp_path / "spool")
    before = sorted(tmp_path.rglob("*"))
    for place in ((uid, SERIES, SOP), (STUDY, uid, SOP), (STUDY, SERIES, uid)):
        with pytest.raises(errors.InvalidUid):
            kept.store(*place, FILE)
    assert sorted(tmp_path.rglob("*")) == before


def test_another_object_under_the_same_uid_is_kept_beside_it(tmp_path):
    kept = spool.Spool(tmp_path)
    first = kept.store(STUDY, SERIES, SOP, FILE)
    aside = kept.store_aside(STUDY, SERIES, SOP, FILE + b"!")
    assert kept.absolute(first.path).read_bytes() == FILE
    assert re.fullmatch(r"1\.2\.3/1\.2\.3\.4/1\.2\.3\.4\.5\.[0-9a-f]{16}\.aside\.dcm", aside.path)
    assert spool.is_aside(aside.path)
    assert not spool.is_aside(first.path)
    assert spool.place_of(aside.path) == spool.place_of(first.path)
    assert list(kept.walk()) == [first.path, aside.path]


def test_a_stored_file_moves_aside_with_its_bytes(tmp_path):
    kept = spool.Spool(tmp_path)
    stored = kept.store(STUDY, SERIES, SOP, FILE)
    moved = kept.move_aside(stored.path, stored.sha256)
    assert spool.is_aside(moved)
    assert kept.find(stored.path) is None
    assert kept.absolute(moved).read_bytes() == FILE


def test_markers_of_unnoted_files_outlive_the_process_until_cleared(tmp_path):
    spool.Spool(tmp_path).mark_unnoted("1.2.3/1.2.3.4/1.2.3.4.5.dcm")
    again = spool.Spool(tmp_path)
    assert again.unnoted() == ["1.2.3/1.2.3.4/1.2.3.4.5.dcm"]
    again.clear_unnoted("1.2.3/1.2.3.4/1.2.3.4.5.dcm")
    assert again.unnoted() == []


def test_a_temporary_file_is_never_taken_for_an_object(tmp_path):
    kept = spool.Spool(tmp_path)
    stored = kept.store(STUDY, SERIES, SOP, FILE)
    leftover = kept.absolute(stored.path).with_name(".0011.tmp")
    leftover.write_bytes(b"half")
    assert list(kept.walk()) == [stored.path]
    assert kept.remove_leftovers() == 1
    assert not leftover.exists()
    assert list(kept.walk()) == [stored.path]


def test_a_writers_temporary_file_is_left_alone_while_it_lives(tmp_path):
    import fcntl

    kept = spool.Spool(tmp_path)
    temporary = tmp_path / ".0011.tmp"
    with temporary.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert kept.remove_leftovers() == 0
    assert kept.remove_leftovers() == 1


def test_a_folder_removed_in_between_is_made_again(tmp_path):
    kept = spool.Spool(tmp_path)
    stored = kept.store(STUDY, SERIES, SOP, FILE)
    kept.absolute(stored.path).unlink()
    kept.absolute(stored.path).parent.rmdir()
    assert kept.store(STUDY, SERIES, SOP, FILE) == stored


def test_a_failing_disk_is_a_storage_error_and_leaves_nothing_half_written(tmp_path):
    kept = spool.Spool(tmp_path)
    (tmp_path / STUDY).write_bytes(b"a file where a folder must be")
    with pytest.raises(errors.StorageError):
        kept.store(STUDY, SERIES, SOP, FILE)
    assert list(tmp_path.rglob("*.tmp")) == []


def test_free_room_is_measured(tmp_path):
    stat = os.statvfs(tmp_path)
    free = spool.Spool(tmp_path).free_bytes()
    assert free == pytest.approx(stat.f_bavail * stat.f_frsize, rel=0.1)


def test_a_uid_held_by_another_process_is_waited_for_and_freed_by_its_death(tmp_path):
    kept = spool.Spool(tmp_path)
    root = pathlib.Path(__file__).resolve().parents[2]
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path), SOP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root
    )
    assert holder.stdin
    assert holder.stdout
    with holder.stdin, holder.stdout:
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
        holder.wait(10)
        with kept.exclusive(SOP):
            pass


_HOLDER = """
import pathlib, sys
from triage import spool
with spool.Spool(pathlib.Path(sys.argv[1])).exclusive(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_file_that_waits_to_be_noted_is_seen_from_outside(tmp_path):
    assert not spool.anything_waits(tmp_path / "nothing yet")
    kept = spool.Spool(tmp_path)
    assert not spool.anything_waits(tmp_path)
    kept.mark_unnoted("1.2/3.4/5.6.dcm")
    assert spool.anything_waits(tmp_path)
    kept.clear_unnoted("1.2/3.4/5.6.dcm")
    assert not spool.anything_waits(tmp_path)
