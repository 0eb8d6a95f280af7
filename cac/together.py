"""Do independent things on several threads, or one after the other."""

from collections.abc import Callable, Iterable
from concurrent import futures
from typing import TypeVar

Thing = TypeVar("Thing")
Result = TypeVar("Result")


def each(do: Callable[[Thing], Result], things: Iterable[Thing], threads: int) -> list[Result]:
    """Return what `do` gives for each thing, in their order; its first error is raised, and nothing new begins."""
    if threads <= 1:
        return [do(thing) for thing in things]
    pool = futures.ThreadPoolExecutor(threads)
    try:
        return list(pool.map(do, things))
    finally:
        pool.shutdown(cancel_futures=True)
