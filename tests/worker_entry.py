"""The worker process of tests: the product's own, but for the engine. Run as `python -m worker_entry MODE`."""

import os
import sys

import working

from triage import errors, settings
from worker import app


def _prove(config: settings.Settings) -> None:
    if sys.argv[1] == "unproved":
        raise errors.ModelError("the small lesion was missed")


def _factory(config: settings.Settings) -> tuple[working.Engine, str]:
    # The first child to come here is slow: long enough to be killed at work. Those after it are not.
    slow = False
    if sys.argv[1] == "slow-once":
        try:
            os.close(os.open(config.home / "slow", os.O_CREAT | os.O_EXCL))
            slow = True
        except FileExistsError:
            pass
    seconds = 60.0 if slow else 0.3 if sys.argv[1] == "steady" else 0.0
    return working.Engine(seconds=seconds), working.MODELS_HASH


if __name__ == "__main__":
    try:
        sys.exit(app.run(settings.load(), _factory, _prove))
    except errors.ModelError as exc:
        sys.exit(f"worker: {exc}")
