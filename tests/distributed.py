"""Folders of torch.distributed.checkpoint, as PyTorch writes them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch.distributed.checkpoint as dcp


def distributed(folder: Path, content: dict[str, Any]) -> Path:
    """A folder that `torch.distributed.checkpoint.save` wrote in one process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save(content, checkpoint_id=folder)  # type: ignore[attr-defined]
    return folder
