"""Keep the four roles of an embedded node running, or several listeners, and leave none behind."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence

ROLES = ("listen", "assemble", "api", "work")
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 30.0
CALM_SECONDS = 60.0
"""A role that ran this long before it ended is started again without the back-off of earlier ends."""
STOP_SECONDS = 15.0


class Role:
    """Hold one child process, in a session of its own, and when to start it again."""

    def __init__(self, name: str, environment: Mapping[str, str], options: Sequence[str] = ()) -> None:
        self.name = name
        self._options = options
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._wait = FIRST_WAIT_SECONDS
        self._due = 0.0

    def start(self) -> None:
        """Start the process; its standard input stays open as long as this process lives (see `watch_lifeline`)."""
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", self.name, "--lifeline", *self._options],
            stdin=subprocess.PIPE,
            env=self._environment,
            start_new_session=True,
        )

    def look(self) -> str | None:
        """Start the process again where it ended and its wait is over; return a sentence when it has just ended."""
        now = time.monotonic()
        if self._process is None:
            if now >= self._due:
                self.start()
            return None
        code = self._process.poll()
        if code is None:
            return None
        self._kill_rest()
        self._wait = FIRST_WAIT_SECONDS if now - self._started > CALM_SECONDS else self._wait
        self._due = now + self._wait
        sentence = f"The role '{self.name}' ended with code {code}; it starts again in {self._wait:.0f} s."
        self._wait = min(2 * self._wait, LONGEST_WAIT_SECONDS)
        return sentence

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        if self._process is not None:
            self._process.terminate()

    def stop(self, deadline: float) -> None:
        """Wait for the process until a monotonic deadline, then kill all of its session."""
        if self._process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(deadline - time.monotonic(), 0.1))
        self._kill_rest()

    def _kill_rest(self) -> None:
        """Kill what is left of the session, children of the child among it, and forget the process."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None


class Supervisor:
    """Hold the roles of one node, or whatever roles are named."""

    def __init__(
        self, environment: Mapping[str, str], say: Callable[[str], None], roles: Sequence[Role] | None = None
    ) -> None:
        self._roles = [Role(name, environment) for name in ROLES] if roles is None else roles
        self._say = say

    def start(self) -> None:
        """Start every role."""
        for role in self._roles:
            role.start()

    def look(self) -> None:
        """Start again what ended; call this often."""
        for role in self._roles:
            if sentence := role.look():
                self._say(sentence)

    def stop(self) -> None:
        """Ask every role to stop, wait, and kill what does not."""
        for role in self._roles:
            role.ask_to_stop()
        deadline = time.monotonic() + STOP_SECONDS
        for role in self._roles:
            role.stop(deadline)


def watch_lifeline() -> None:
    """End this process when standard input closes: then its parent is gone, even if killed with -9."""

    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 1024):
                pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(STOP_SECONDS)
        if os.getpgrp() == os.getpid():  # the group is ours alone, so its children go too
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
