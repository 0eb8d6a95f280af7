"""The log of a training: a line on the screen, a row in NAME.csv, and curves in NAME.png."""

import csv
import io
import pathlib
import time
from typing import Any

from matplotlib import figure

from training import checkpoint

SAID = 100
"""Steps between lines on the screen."""


class Journal:
    """Gather what each step says; a row is the mean since the row before it."""

    def __init__(self, weights: pathlib.Path, steps: int) -> None:
        self.weights, self.steps = weights, steps
        self.rows: list[dict[str, float]] = []
        self.sums: dict[str, float] = {}
        self.count, self.spent = 0, 0.0
        self.began, self.first = time.monotonic(), 0

    def add(self, figures: dict[str, float]) -> None:
        """Note one step's figures."""
        self.sums = {name: self.sums.get(name, 0.0) + value for name, value in figures.items()}
        self.count += 1

    def say(self, step: int) -> None:
        """Print a line with the time left."""
        pace = (time.monotonic() - self.began) / (step - self.first)
        said = "  ".join(f"{name} {total / self.count:.3f}" for name, total in self.sums.items() if "_" not in name)
        left = (self.steps - step) * pace / 60
        print(
            f"{self.weights.stem} {step:6d}/{self.steps}  {said}  {pace:.3f} s a step, {left:.0f} min left", flush=True
        )

    def row(self, step: int, learning_rate: float) -> None:
        """Write a row of means, and begin the next."""
        means = {name: round(total / self.count, 6) for name, total in self.sums.items()}
        rest = {"learning_rate": learning_rate, "seconds": round(self.seconds, 1)}
        self.rows.append({"step": step} | means | rest)
        self.sums, self.count = {}, 0
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        checkpoint.write(self.weights.with_suffix(".csv"), text.getvalue().encode())

    def draw(self) -> None:
        """Draw the curves."""
        if not self.rows:
            return
        sheet = figure.Figure(figsize=(8, 8), layout="constrained")
        steps = [row["step"] for row in self.rows]
        groups = (
            [name for name in self.rows[0] if name.startswith("loss")],
            [name for name in self.rows[0] if name in ("found", "left")],
            ["learning_rate"],
        )
        for axes, names in zip(sheet.subplots(3, 1, sharex=True), groups, strict=True):
            for name in names:
                axes.plot(steps, [row[name] for row in self.rows], label=name)
            axes.legend()
        axes.set_xlabel("step")
        picture = io.BytesIO()
        sheet.savefig(picture, format="png")
        checkpoint.write(self.weights.with_suffix(".png"), picture.getvalue())

    @property
    def seconds(self) -> float:
        """Return how long this training has taken, over all its runs."""
        return self.spent + time.monotonic() - self.began

    def state(self) -> dict[str, Any]:
        """Return what going on needs."""
        return {"rows": self.rows, "sums": self.sums, "count": self.count, "seconds": self.seconds}

    def restore(self, state: dict[str, Any], step: int) -> None:
        """Go on from a state."""
        self.rows, self.sums, self.count, self.spent = (state[k] for k in ("rows", "sums", "count", "seconds"))
        self.first = step
