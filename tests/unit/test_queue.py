"""Rings are files or Redis messages; none is half there, and a broker out of reach is said at once."""

import pathlib
import threading
import time
from queue import Empty

import pytest

from triage import errors, queue


def _channel(home: pathlib.Path) -> queue.FileChannel:
    channel = queue.make_app("", home, task_seconds=10).connection().default_channel
    assert isinstance(channel, queue.FileChannel)
    return channel


def test_a_ring_is_one_file_that_names_the_series_only(tmp_path: pathlib.Path) -> None:
    queue.doorbell(queue.make_app("", tmp_path, task_seconds=10))("1.2.3")
    message = _channel(tmp_path)._get(queue.QUEUE)
    assert message["headers"]["task"] == queue.TASK
    assert message["headers"]["argsrepr"] == "['1.2.3']"
    with pytest.raises(Empty):
        _channel(tmp_path)._get(queue.QUEUE)


def test_a_spoilt_message_is_dropped_and_the_next_one_taken(tmp_path: pathlib.Path) -> None:
    channel = _channel(tmp_path)
    (tmp_path / "broker" / f"0_spoilt.{queue.QUEUE}.msg").write_text('{"half')
    channel._put(queue.QUEUE, {"n": 1})
    assert channel._get(queue.QUEUE) == {"n": 1}


def test_of_many_consumers_one_gets_each_message(tmp_path: pathlib.Path) -> None:
    writer = _channel(tmp_path)
    for number in range(60):
        writer._put(queue.QUEUE, {"n": number})
    taken: list[int] = []

    def consume() -> None:
        channel = _channel(tmp_path)
        while True:
            try:
                taken.append(channel._get(queue.QUEUE)["n"])
            except Empty:
                return

    threads = [threading.Thread(target=consume) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(60))


def test_a_dead_broker_is_a_storage_error_within_seconds(tmp_path: pathlib.Path, free_port: int) -> None:
    ring = queue.doorbell(queue.make_app(f"redis://127.0.0.1:{free_port}/0", tmp_path, task_seconds=10))
    started = time.monotonic()
    with pytest.raises(errors.StorageError):
        ring("1.2.3")
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("redis", [False, True], ids=["files", "redis"])
def test_rings_that_nobody_took_are_counted(
    tmp_path: pathlib.Path, redis: bool, request: pytest.FixtureRequest
) -> None:
    app = queue.make_app(request.getfixturevalue("redis_url") if redis else "", tmp_path, task_seconds=10)
    ring, held = queue.doorbell(app), queue.held_rings(app)
    before = held()
    ring("1.2.3")
    ring("1.2.4")
    assert held() - before == 2
    with app.connection_for_read() as connection:
        for _ in range(2):
            connection.default_channel._get(queue.QUEUE)
    assert held() == before
    app.close()


def test_rings_cannot_be_counted_while_the_broker_is_dead(tmp_path: pathlib.Path, free_port: int) -> None:
    held = queue.held_rings(queue.make_app(f"redis://127.0.0.1:{free_port}/0", tmp_path, task_seconds=10))
    with pytest.raises(errors.StorageError):
        held()


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: pathlib.Path) -> None:
    (tmp_path / "broker").write_text("a file is in the way")
    with pytest.raises(errors.StorageError):
        queue.make_app("", tmp_path, task_seconds=10)


def test_redis_gives_a_message_back_only_after_its_task_must_have_ended(tmp_path: pathlib.Path) -> None:
    app = queue.make_app("redis://127.0.0.1:1/0", tmp_path, task_seconds=100)
    assert app.conf.broker_transport_options["visibility_timeout"] > app.conf.task_time_limit
    assert app.conf.accept_content == ["json"]
