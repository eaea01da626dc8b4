"""Optimizers, one per file; the file's name is the optimizer's name (see ``hrgrad.optimizer``)."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    # Loaded when asked for: the folder itself imports nothing.
    if name == "torch_optimizer":
        from ..torch_optimizer import torch_optimizer

        return torch_optimizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
