"""Files that are whole or not there, whatever kills the writer."""

import io
import os
import pathlib
from typing import Any

import torch


def write(path: pathlib.Path, content: bytes) -> None:
    """Write a file under another name, bring it to the disk, and only then give it its own name."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def save(path: pathlib.Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers and texts, all or nothing."""
    content = io.BytesIO()
    torch.save(state, content)
    write(path, content.getvalue())


def load(path: pathlib.Path) -> dict[str, Any]:
    """Read what `save` wrote."""
    state: dict[str, Any] = torch.load(path, weights_only=True)
    return state
