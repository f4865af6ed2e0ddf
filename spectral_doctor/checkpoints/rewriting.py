"""Rewriting a checkpoint with a few tensors changed: a copy is mapped, changed in place, and put where it belongs.

Every byte that is no value of a changed tensor stays as it was, so that a file with objects that are not understood
here is rewritten as safely as any other: nothing in it is ever made, or written anew.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from spectral_doctor.checkpoints.formats import Tree, format_of
from spectral_doctor.checkpoints.formats.base import Closed, Format
from spectral_doctor.checkpoints.stores import LocalFile
from spectral_doctor.checkpoints.writing import discard, replace_with
from spectral_doctor.errors import OutputNotWritable

Edit = Callable[[Tree], None]


def rewrite_checkpoint(path: Path, output: Path, edit: Edit) -> None:
    """Write `path` to `output` with the arrays that `edit` changes by `Array.write`; the input is only read.

    The output is there wholly or not at all. Raises what opening raises, `UnwritableCheckpoint` for a format that
    cannot be rewritten, `OutputNotWritable`, and what `edit` raises.
    """
    source = LocalFile(path / ".metadata" if path.is_dir() else path)
    file_format = format_of(source)
    if isinstance(file_format, Closed):
        file_format.open(source)
    if type(file_format).finish is Format.finish:
        file_format.finish(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{output.name}.", suffix=".tmp", dir=output.parent)
    except OSError as error:
        raise OutputNotWritable(output, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        file_format.copy(path, temporary)
        copy = LocalFile(temporary, writable=True)
        edit(file_format.open(copy).tree)
        copy.flush()
        file_format.finish(temporary)
        replace_with(temporary, output)
    except OSError as error:
        discard(temporary)
        raise OutputNotWritable(output, error) from error
    except BaseException:
        discard(temporary)
        raise
