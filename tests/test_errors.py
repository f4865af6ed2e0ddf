"""Sentences of errors, to the letter, and what must never reach a terminal."""

from __future__ import annotations

import pytest

from spectral_doctor import errors


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("conv1.weight", "conv1.weight"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("two\nlines", r"two\nlines"),
        ("\u202etfel", r"\u202etfel"),
        ("lone\udc80", r"lone\udc80"),
        ("schön 漢字 σ1", "schön 漢字 σ1"),
    ],
)
def test_printable_escapes_what_does_not_print(text: str, expected: str) -> None:
    """A key from a file cannot move the cursor, break a line or turn the reading direction."""
    assert errors.printable(text) == expected


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            errors.MissingPath("run/a.pt"),
            "run/a.pt: no such file or folder, and no file matches it as a pattern.",
        ),
        (
            errors.UnknownDiscriminator("D2", ["D", "G"]),
            "--discriminator 'D2': no file has tensors below that key; the keys that hold tensors are 'D', 'G'.",
        ),
        (errors.NoCheckpoints(["run"], 0), "'run': no checkpoint found (no file there)."),
        (errors.NoCheckpoints(["run"], 2), "'run': no checkpoint found (2 files looked at)."),
        (
            errors.GeneratorOnly("g.pt", "file name 'g.pt'"),
            "g.pt: only a generator is here (file name 'g.pt'); the discriminator's checkpoint is the one to examine. "
            "If this is the discriminator, name its key with --discriminator KEY.",
        ),
        (
            errors.NoDiscriminator("a.pt", ["x", "\x1b"]),
            r"a.pt: no discriminator recognised; it holds 'x', '\x1b'. "
            "Name the key that holds it with --discriminator KEY.",
        ),
        (
            errors.NoWeights("a.pt", "D", ["w: a meta tensor"]),
            "a.pt: nothing of 'D' could be examined: w: a meta tensor.",
        ),
        (errors.UnreadableCheckpoint("a.pt", "the file is empty"), "a.pt: cannot be read: the file is empty."),
        (
            errors.UnsafeCheckpoint("a.pt", "it contains 'os.system'", "Way out."),
            "a.pt: refused: it contains 'os.system'. Way out.",
        ),
        (
            errors.UnsupportedCheckpoint("a.pkl", "a Python pickle", "Way out."),
            "a.pkl: a Python pickle, which this version does not open. Way out.",
        ),
        (
            errors.UnwritableCheckpoint("a.pkl", "a Python pickle", "Way out."),
            "a.pkl: a Python pickle, which can be examined and not rewritten. Way out.",
        ),
        (errors.NonFiniteWeight(2, 9), "2 of 9 values are NaN or infinite"),
    ],
)
def test_an_error_writes_its_own_sentence(error: errors.DoctorError, sentence: str) -> None:
    """Each constructor takes the facts and says what, why, and the way out."""
    assert str(error) == sentence


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Every error class stands in the drawing, below its parent."""
    drawing = errors.__doc__ or ""
    classes = [
        item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, errors.DoctorError)
    ]
    for item in classes:
        assert item.__name__ in drawing
        parent = item.__mro__[1].__name__
        if parent != "Exception":
            assert drawing.index(parent) < drawing.index(item.__name__)
