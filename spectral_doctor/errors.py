"""Every way in which spectral-doctor says no.

    DoctorError
    ├── UsageError                   the request cannot be carried out as asked
    │   ├── MissingPath
    │   ├── UnknownDiscriminator
    │   ├── NoObservations
    │   ├── MissingExtra
    │   └── OutputNotWritable
    ├── NothingToExamine             everything was read, and there was nothing to examine
    │   ├── NoCheckpoints
    │   ├── GeneratorOnly
    │   ├── NoDiscriminator
    │   └── NoWeights
    ├── CheckpointError              a file that cannot be used
    │   ├── UnreadableCheckpoint
    │   ├── UnsafeCheckpoint
    │   ├── UnsupportedCheckpoint
    │   └── UnwritableCheckpoint
    └── WeightError                  a tensor that has no spectrum
        ├── NonFiniteWeight
        └── CompensationError        a compensation that cannot be applied

A constructor takes the facts and writes the sentence. Names that come from a file pass through
`printable` on their way into a sentence, so a hostile key cannot drive the terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

# What reading a document of another form than expected raises, whatever in it is of that form.
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)
EXPORT = "export the discriminator's weights as safetensors, .npz or a torch state_dict"


def printable(text: object) -> str:
    r"""Return `text` with every character that does not print written as its escape.

    Control characters, line breaks, bidirectional marks and lone surrogates become `\x1b`, `\n`,
    `\u202e`, `\udc80`; everything else stays as it is.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in str(text)
    )


def listed(names: Iterable[object], most: int = 6) -> str:
    """Return names quoted, in order and cut after `most` of them, for use inside a sentence."""
    quoted = [f"'{printable(name)}'" for name in names]
    rest = len(quoted) - most
    return ", ".join(quoted[:most]) + (f" and {rest} more" if rest > 0 else "")


class DoctorError(Exception):
    """The root of every error that spectral-doctor raises on purpose."""


class UsageError(DoctorError):
    """The request cannot be carried out as asked."""


class MissingPath(UsageError):
    """A path that was named does not exist."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(f"{printable(path)}: no such file or folder, and no file matches it as a pattern.")


class UnknownDiscriminator(UsageError):
    """The key given with `--discriminator` is in none of the files."""

    reason = "without the key given with --discriminator"

    def __init__(self, key: str, available: Iterable[str]) -> None:
        super().__init__(
            f"--discriminator '{printable(key)}': no file has tensors below that key; "
            f"the keys that hold tensors are {listed(available) or 'none'}."
        )


class NoObservations(UsageError):
    """A series without a checkpoint was to be diagnosed."""

    def __init__(self, discriminator: str) -> None:
        super().__init__(
            f"{printable(discriminator)}: nothing has been observed yet; a diagnosis needs one checkpoint or more."
        )


class MissingExtra(UsageError, ImportError):
    """A library is needed that is not installed; `what` needs it, `install` is what pip is to install."""

    def __init__(self, what: str, library: str, install: str) -> None:
        super().__init__(f"{what} needs {library}: pip install {install}")


class OutputNotWritable(UsageError):
    """A place that was named for a result cannot be written: its folder is missing, read-only or full."""

    def __init__(self, path: Path | str, error: OSError) -> None:
        reason = (error.strerror or str(error)).lower()
        super().__init__(f"{printable(path)}: it cannot be written there ({printable(reason)}); name another place.")


class NothingToExamine(DoctorError):
    """Everything was read, and there was nothing to examine; `reason` is the short form for a list."""

    reason = "nothing to examine"


class NoWeights(NothingToExamine):
    """A discriminator was found and none of its tensors has a spectrum."""

    reason = "no weight matrix that could be examined"

    def __init__(self, path: Path | str, discriminator: str, reasons: Iterable[str]) -> None:
        super().__init__(
            f"{printable(path)}: nothing of '{printable(discriminator)}' could be examined: "
            f"{'; '.join(map(printable, reasons)) or 'it holds no weight matrix'}."
        )


class NoCheckpoints(NothingToExamine):
    """No file among those given is a checkpoint that is read here.

    `unread` counts, by format, the files that may hold weights and are not read; `others` the rest that was looked at.
    """

    def __init__(self, paths: Iterable[Path | str], others: int, unread: Mapping[str, int] | None = None) -> None:
        seen = [f"{count} {name}{'' if count == 1 else 's'}" for name, count in (unread or {}).items()]
        parts = [f"{', '.join(seen)}: not read by spectral-doctor; {EXPORT}"] if seen else []
        if others or not seen:
            number = f"{others} {'other ' if seen else ''}file{'' if others == 1 else 's'} looked at"
            parts.append(number if others else "no file there")
        super().__init__(f"{listed(paths)}: no checkpoint found ({'; '.join(parts)}).")


class GeneratorOnly(NothingToExamine):
    """A checkpoint holds a generator and no discriminator."""

    reason = "a generator, no discriminator"

    def __init__(self, path: Path | str, why: str) -> None:
        super().__init__(
            f"{printable(path)}: only a generator is here ({printable(why)}); the discriminator's checkpoint "
            "is the one to examine. If this is the discriminator, name its key with --discriminator KEY."
        )


class NoDiscriminator(NothingToExamine):
    """A checkpoint was read and nothing in it could be recognised as a discriminator."""

    reason = "no discriminator recognised"

    def __init__(self, path: Path | str, keys: Iterable[str]) -> None:
        super().__init__(
            f"{printable(path)}: no discriminator recognised; it holds {listed(keys) or 'no tensors'}. "
            "Name the key that holds it with --discriminator KEY."
        )


class CheckpointError(DoctorError):
    """A file that cannot be used: `path` is which, `reason` the rest of the sentence, which other files may share."""

    def __init__(self, path: Path | str, reason: str) -> None:
        self.path, self.reason = str(path), reason
        super().__init__(f"{printable(path)}: {reason}")


class UnreadableCheckpoint(CheckpointError):
    """A file is torn, empty, or not a checkpoint at all."""

    def __init__(self, path: Path | str, reason: str, remedy: str = "") -> None:
        super().__init__(path, f"cannot be read: {printable(reason)}.{_sentence(remedy)}")


class UnsafeCheckpoint(CheckpointError):
    """A file asks for more than tensors and plain values, so it was not loaded."""

    def __init__(self, path: Path | str, refused: str, remedy: str) -> None:
        super().__init__(path, f"refused: {printable(refused)}. {printable(remedy)}")


class UnsupportedCheckpoint(CheckpointError):
    """A file is of a known format that this version does not open."""

    def __init__(self, path: Path | str, format_name: str, remedy: str) -> None:
        super().__init__(path, f"{printable(format_name)}, which this version does not open. {printable(remedy)}")


class UnwritableCheckpoint(CheckpointError):
    """A file is of a format that is read here and not written."""

    def __init__(self, path: Path | str, format_name: str, remedy: str) -> None:
        super().__init__(
            path, f"{printable(format_name)}, which can be examined and not rewritten. {printable(remedy)}"
        )


class WeightError(DoctorError):
    """A tensor that has no spectrum; the sentence is the reason alone, the caller knows the layer."""


class NonFiniteWeight(WeightError):
    """A weight holds NaN or infinity."""

    def __init__(self, count: int, total: int) -> None:
        self.count = count
        self.total = total
        super().__init__(f"{count} of {total} values {'is' if count == 1 else 'are'} NaN or infinite")


class CompensationError(WeightError):
    """A compensation that cannot be built, or does not fit the matrix it is applied to."""


def _sentence(text: str) -> str:
    return f" {printable(text)}" if text else ""
