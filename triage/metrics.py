"""Numbers for a Prometheus server, in its text format 0.0.4: a few lines, so no library."""

import bisect
import dataclasses
import threading
from collections.abc import Iterable, Mapping, Sequence

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]
"""Names and values; never a UID, a name or a number of a patient: they would stand in another system's store."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """Hold one metric: `samples` gives a suffix of the name, labels and a value each; `kind` is Prometheus's word."""

    name: str
    kind: str
    text: str
    samples: Sequence[tuple[str, Labels, float]]


class Histogram:
    """Count observations, in seconds, into buckets with fixed upper bounds, one row of buckets a set of labels."""

    def __init__(self, name: str, text: str, bounds: Sequence[float]) -> None:
        self._name, self._text, self._bounds = name, text, tuple(sorted(bounds))
        self._lock = threading.Lock()
        self._rows: dict[Labels, tuple[list[int], float]] = {}

    def observe(self, seconds: float, labels: Labels = ()) -> None:
        """Count one observation; a bound belongs to its bucket."""
        with self._lock:
            counts, total = self._rows.get(labels, ([0] * (len(self._bounds) + 1), 0.0))
            counts[bisect.bisect_left(self._bounds, seconds)] += 1
            self._rows[labels] = (counts, total + seconds)

    def family(self) -> Family:
        """Return what was counted until now."""
        samples: list[tuple[str, Labels, float]] = []
        with self._lock:
            for labels, (counts, total) in self._rows.items():
                upto = 0
                for bound, count in zip((*map(_number, self._bounds), "+Inf"), counts, strict=True):
                    upto += count
                    samples.append(("_bucket", (*labels, ("le", bound)), upto))
                samples += [("_sum", labels, total), ("_count", labels, upto)]
        return Family(name=self._name, kind="histogram", text=self._text, samples=samples)


class Counter:
    """Count events, one number a set of labels."""

    def __init__(self, name: str, text: str) -> None:
        self._name, self._text = name, text
        self._lock = threading.Lock()
        self._rows: dict[Labels, int] = {}

    def add(self, labels: Labels = ()) -> None:
        """Count one event."""
        with self._lock:
            self._rows[labels] = self._rows.get(labels, 0) + 1

    def family(self) -> Family:
        """Return what was counted until now."""
        with self._lock:
            samples = [("", labels, float(count)) for labels, count in self._rows.items()]
        return Family(name=self._name, kind="counter", text=self._text, samples=samples)


def gauge(name: str, text: str, values: Mapping[Labels, float]) -> Family:
    """Return a metric whose values are as they are now."""
    samples = [("", labels, float(value)) for labels, value in values.items()]
    return Family(name=name, kind="gauge", text=text, samples=samples)


def render(families: Iterable[Family]) -> str:
    """Write metrics as a Prometheus server reads them."""
    lines = []
    for family in families:
        text = family.text.replace("\\", r"\\").replace("\n", r"\n")
        lines += [f"# HELP {family.name} {text}", f"# TYPE {family.name} {family.kind}"]
        for suffix, labels, value in family.samples:
            inside = ",".join(f'{name}="{_escaped(told)}"' for name, told in labels)
            braced = f"{{{inside}}}" if inside else ""
            lines.append(f"{family.name}{suffix}{braced} {_number(value)}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
