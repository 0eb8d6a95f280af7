"""Check that the migrations lead to the tables: upgrade a fresh SQLite database, then `alembic check`."""

import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main() -> int:
    """Return Alembic's verdict."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "CAC_TRIAGE_HOME": home, "CAC_TRIAGE_DATABASE_URL": ""}
        for command in ("upgrade head", "check"):
            done = subprocess.run(
                [sys.executable, "-m", "alembic", *command.split()],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                sys.stdout.write(done.stdout + done.stderr)
                return 1
    sys.stdout.write("migrations lead to the tables\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
