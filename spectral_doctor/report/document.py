"""The JSON report, which is also the history that `inspect` reads back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from spectral_doctor.diagnosis.records import Diagnosis, LayerFinding, StepState
from spectral_doctor.inspection import Inspection
from spectral_doctor.trajectory.history import HISTORY_VERSION, series_to_json
from spectral_doctor.version import __version__

if TYPE_CHECKING:
    from spectral_doctor.veegan.records import Reconstruction


def render_json(inspection: Inspection, found: Mapping[str, Reconstruction] | None = None) -> str:
    """Return the whole inspection as JSON text: complete spectra, statistics, statements, and what was left out.

    `found` is what inverting the generators showed, by checkpoint.
    """
    document = inspection_document(inspection)
    if found:
        document["reconstructions"] = [
            {"checkpoint": path, "modes_missing": item.modes_missing, **asdict(item)} for path, item in found.items()
        ]
    return json.dumps(document, indent=1, allow_nan=False)


def inspection_document(inspection: Inspection) -> dict[str, Any]:
    """The same as plain JSON values."""
    return {
        "schema": HISTORY_VERSION,
        "tool": f"spectral-doctor {__version__}",
        "series": [{**series_to_json(item.trajectory), "diagnosis": _diagnosis(item)} for item in inspection.diagnoses],
        "left_out": [asdict(item) for item in inspection.left_out],
        "failures": list(map(str, inspection.failures)),
    }


def json_pieces(value: Any) -> Iterator[str]:
    """JSON text piece by piece, so that a long history is never in memory as text; an iterator is written as a list.

    A piece is a value without containers in it, such as the singular values of one layer at one checkpoint.
    """
    if isinstance(value, dict):
        yield "{"
        for number, (key, inner) in enumerate(value.items()):
            yield f"{', ' if number else ''}{json.dumps(str(key))}: "
            yield from json_pieces(inner)
        yield "}"
    elif isinstance(value, Iterator) or (isinstance(value, list | tuple) and any(map(_is_container, value))):
        yield "["
        for number, inner in enumerate(value):
            yield ", " if number else ""
            yield from json_pieces(inner)
        yield "]"
    else:
        yield json.dumps(value, allow_nan=False)


def _is_container(value: Any) -> bool:
    return isinstance(value, dict | list | tuple | Iterator)


def _diagnosis(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "spectrum": diagnosis.spectrum.value,
        "modes": {
            "statement": diagnosis.modes.statement.value,
            "probability": diagnosis.modes.probability,
            "tier": diagnosis.modes.tier.value,
            "arguments": [asdict(item) for item in diagnosis.modes.arguments],
            "why": diagnosis.modes.why,
        },
        "summary": diagnosis.summary,
        "onset": diagnosis.onset,
        "onset_after": diagnosis.onset_after,
        "last_healthy": diagnosis.last_healthy,
        "resume_from": None if diagnosis.resume_from is None else str(diagnosis.resume_from),
        "advice": {"step": diagnosis.advice.step, "why": diagnosis.advice.why},
        "states": [_state(state) for state in diagnosis.states],
        "layers": [_layer(finding) for finding in diagnosis.layers],
        "findings": [{**asdict(finding), "kind": finding.kind.value} for finding in diagnosis.findings],
        "events": [{**asdict(event), "kind": event.kind.value} for event in diagnosis.events],
        "thresholds": asdict(diagnosis.thresholds),
    }


def _state(state: StepState) -> dict[str, Any]:
    words = {"spectrum": state.spectrum.value, "modes": state.modes.value}
    return {**vars(state), "checkpoint": str(state.checkpoint), **words}


def _layer(finding: LayerFinding) -> dict[str, Any]:
    layer, spectra = finding.trajectory, finding.trajectory.spectra
    return {
        "name": finding.layer,
        "state": None if finding.state is None else finding.state.value,
        "reference": None if finding.reference is None else asdict(finding.reference),
        "not_judged": finding.reason,
        "plateau_index": finding.plateau_index,
        "plateau": list(finding.plateau),
        "sigma_max": [None if item is None else item.sigma_max for item in spectra],
        "sigma_2_ratio": [None if item is None else item.ratio(2) for item in spectra],
        "sigma_5_ratio": [None if item is None else item.ratio(5) for item in spectra],
        "plateau_width": [None if item is None else item.plateau_width for item in spectra],
        "stable_rank": [None if item is None else item.stable_rank for item in spectra],
        "effective_rank": [None if item is None else item.effective_rank for item in spectra],
        "deficit": [layer.deficit(index) for index in range(len(spectra))],
        "envelope": list(layer.envelope),
    }
