"""What was found in a checkpoint as one line of JSON, its spectra by their digests alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spectral_doctor.records import (
    Certainty,
    CheckpointRef,
    LayerIdentity,
    LayerSpectrum,
    LeftOut,
    SkippedLayer,
    SkipReason,
    StepClue,
)
from spectral_doctor.spectrum import Measured
from spectral_doctor.trajectory.records import Examination

Outcome = tuple[tuple[Examination, ...], tuple[LeftOut, ...]]


def rendered(examinations: Sequence[Examination], left_out: Sequence[LeftOut], digests: Sequence[bytes]) -> bytes:
    """Examinations whose layers have these digests, in their order, and what was left out."""
    own = iter(digests)
    content = {
        "examinations": [
            {
                "discriminator": item.discriminator,
                "certainty": item.certainty.name,
                "why": item.why,
                "modified": item.modified,
                "clues": [[clue.source, clue.unit, clue.value] for clue in item.step_clues],
                "layers": [[*_identity(layer.identity), next(own).hex()] for layer in item.layers],
                "skipped": [[skipped.name, skipped.reason.name, skipped.detail] for skipped in item.skipped],
            }
            for item in examinations
        ],
        "left out": [[item.name, item.reason, item.format_name] for item in left_out],
    }
    return json.dumps(content, separators=(",", ":")).encode()


def parsed(
    content: bytes, ref: CheckpointRef, known: Callable[[list[bytes]], Mapping[bytes, Measured]]
) -> Outcome | None:
    """The examinations of a checkpoint, with the spectra that are `known` for their digests, and what was left out.

    None where not all of them are known.
    """
    document = json.loads(content)
    digests = [bytes.fromhex(layer[-1]) for item in document["examinations"] for layer in item["layers"]]
    spectra = known(digests)
    if any(digest not in spectra for digest in digests):
        return None
    examinations = tuple(
        Examination(
            discriminator=item["discriminator"],
            certainty=Certainty[item["certainty"]],
            why=item["why"],
            ref=ref,
            modified=item["modified"],
            step_clues=tuple(StepClue(*clue) for clue in item["clues"]),
            layers=tuple(_layer(layer, spectra[bytes.fromhex(layer[-1])]) for layer in item["layers"]),
            skipped=tuple(SkippedLayer(name, SkipReason[reason], detail) for name, reason, detail in item["skipped"]),
        )
        for item in document["examinations"]
    )
    return examinations, tuple(LeftOut(*item) for item in document["left out"])


def _identity(identity: LayerIdentity) -> tuple[object, ...]:
    return identity.name, identity.kind, identity.form, identity.stored_shape, identity.matrix_shape


def _layer(row: Sequence[Any], measured: Measured) -> LayerSpectrum:
    name, kind, form, stored, matrix, _ = row
    identity = LayerIdentity(name, kind, form, tuple(stored), tuple(matrix))
    return LayerSpectrum(identity, measured.spectrum, measured.non_finite, at_bound=measured.at_bound)
