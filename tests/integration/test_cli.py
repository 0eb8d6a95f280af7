"""Commands as a person types them: one process each, what it prints, and how it ends."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import listening
import pytest
import small_ct
import working


def cli(*arguments: object, home: pathlib.Path, seconds: float = 60, **settings: object):
    """Run one command; `settings` are set as CAC_TRIAGE_*."""
    given = {f"CAC_TRIAGE_{name.upper()}": str(value) for name, value in settings.items()}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CAC_TRIAGE_")}
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *map(str, arguments)],
        env={**kept, "CAC_TRIAGE_HOME": str(home), "COLUMNS": "200", **given},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_help_names_every_command_at_once(tmp_path):
    started = time.monotonic()
    told = cli("--help", home=tmp_path)
    assert time.monotonic() - started < 5
    commands = "up listen assemble api work run send phantom worklist db doctor demo"
    assert [name for name in commands.split() if f"  {name} " not in told.stdout] == []


@pytest.mark.parametrize(
    ("arguments", "settings", "sentence"),
    [
        (("run", "nowhere"), {}, "nowhere does not exist."),
        (("run", "."), {}, "holds no DICOM object that names its series."),
        (("send", "nowhere", "--to", "A@127.0.0.1:104"), {}, "nowhere does not exist."),
        (("send", ".", "--to", "A:104"), {}, "'A:104' is no address"),
        (("phantom", "x", "--agatston", "1", "--seed", "1", "--increment", "2"), {}, "must be 1.5 or 3"),
        (("worklist",), {"http_port": "x"}, "http_port: Input should be a valid integer"),
        (("worklist", "--url", "http://127.0.0.1:9"), {}, "No node answers at http://127.0.0.1:9"),
        (("db", "upgrade"), {"database_url": "mysql://x"}, "database_url must start with"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, monkeypatch, arguments, settings, sentence):
    monkeypatch.setenv("PYTHONPATH", str(pathlib.Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)
    told = cli(*arguments, home=tmp_path, **settings)
    assert told.returncode != 0
    assert sentence in told.stderr
    assert len(told.stderr.strip().splitlines()) == 1
    assert told.stdout == ""


def test_a_folder_is_sent_to_a_listener(tmp_path):
    paths = small_ct.write(small_ct.series(5), tmp_path / "ct")
    (tmp_path / "ct" / "readme.txt").write_text("no DICOM")
    with listening.node(tmp_path, listening.sqlite(tmp_path)) as node:
        told = cli("send", tmp_path / "ct", "--to", f"CACTRIAGE@127.0.0.1:{node.receiver.port}", home=tmp_path)
        assert len(node.files()) == len(paths)
    assert told.returncode == 0, told.stderr
    assert "5 objects stored" in told.stdout
    assert "1 other files skipped" in told.stdout


def test_objects_that_were_not_stored_end_in_an_error(tmp_path):
    small_ct.write(small_ct.series(3), tmp_path / "ct")
    told = cli("send", tmp_path / "ct", "--to", f"A@127.0.0.1:{free_port()}", home=tmp_path)
    assert told.returncode == 1
    assert "no association with the peer: 3 objects" in told.stderr
    assert "3 of 3 objects were not stored." in told.stderr


def test_upgrade_makes_a_database_that_the_doctor_finds_right(tmp_path):
    ports = {"dicom_port": free_port(), "http_port": free_port()}
    assert cli("db", "upgrade", home=tmp_path).returncode == 0
    told = cli("doctor", home=tmp_path, models=tmp_path / "none", min_free_bytes=1, **ports)
    assert told.returncode == 1
    lines = {line[7:17].strip(): line[:5].strip() for line in told.stdout.splitlines()}
    assert lines.pop("models") == "WRONG"
    assert lines == dict.fromkeys(("database", "broker", "dicom port", "http port", "disk"), "right")


def test_the_doctor_says_what_to_do_about_a_taken_port_and_a_full_disk(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = cli(
            "doctor", home=tmp_path, models=tmp_path, dicom_port=free_port(), http_port=port, min_free_bytes=2**60
        )
    assert "belongs to another program: set CAC_TRIAGE_HTTP_PORT" in told.stdout
    assert "images are refused; make room" in told.stdout


@pytest.mark.parametrize("role", ["listener", "api", "assembler"])
def test_the_doctor_misses_a_role_that_does_not_run(tmp_path, role):
    cli("db", "upgrade", home=tmp_path)
    ports = {"dicom_port": free_port(), "http_port": free_port()}
    told = cli("doctor", "--role", role, home=tmp_path, **ports)
    assert told.returncode == 1
    assert told.stdout.startswith("WRONG")


def test_run_prints_one_json_object_a_series_and_nothing_else(tmp_path):
    small_ct.write(small_ct.series(8), tmp_path / "ct" / "a")
    small_ct.write(small_ct.series(8, KVP=140.0, series=f"{small_ct.STUDY}.2"), tmp_path / "ct" / "b")
    told = cli("run", tmp_path / "ct", "--json", "--out", tmp_path / "out", home=tmp_path, seconds=180)
    assert told.returncode == 0, told.stderr
    results = [json.loads(line) for line in told.stdout.splitlines()]
    assert {result["series_instance_uid"] for result in results} == {f"{small_ct.STUDY}.{n}" for n in (1, 2)}
    named = "series_instance_uid outcome reasons agatston category lesions candidates seconds timings hashes"
    for result in results:
        assert set(named.split()) <= set(result)
        assert result["outcome"] in {"unsuitable", "indeterminate"}
        written = json.loads((tmp_path / "out" / result["series_instance_uid"] / "result.json").read_text())
        assert written == result
    reasons = {reason["code"] for result in results for reason in result["reasons"]}
    assert "kvp_not_120" in reasons


def test_run_shows_why_and_lists_the_rejected_on_demand(tmp_path):
    working.phantom_files(tmp_path / "ct")
    told = cli("run", tmp_path / "ct", "--all", "--out", tmp_path / "out", home=tmp_path, seconds=180)
    assert told.returncode == 0, told.stderr
    (written,) = (tmp_path / "out").glob("*/result.json")
    found = json.loads(written.read_text())["candidates"]
    counts = {status: sum(one["status"] == status for one in found) for status in ("accepted", "doubt", "rejected")}
    assert counts["accepted"] + counts["doubt"] > 0
    counted = "{accepted} accepted, {doubt} in doubt, {rejected} rejected.".format(**counts)
    assert f"candidates >= 130 HU in the heart region: {counted}" in told.stdout
    assert all(one["reason"]["text"] and one["volume_mm3"] > 0 for one in found)
    assert all(one["reason"]["code"][:6] in told.stdout for one in found)
