"""What a file gave as rows, plain JSON values, and back: exact, so that nothing needs the file again.

A file's rows are one `network` row for every discriminator, one `layer` row for every weight matrix, `left_out`,
`series` (of a history) or `error` rows, and at the end one `file` row. What has no `file` row is not finished.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from spectral_doctor import errors
from spectral_doctor.errors import CheckpointError, DoctorError
from spectral_doctor.inspection import Findings
from spectral_doctor.records import (
    Certainty,
    CheckpointRef,
    LayerSpectrum,
    LeftOut,
    RemotePath,
    StepClue,
    location_of,
)
from spectral_doctor.trajectory.history import (
    layer_from_json,
    series_from_json,
    series_to_json,
    skipped_from_json,
    skipped_to_json,
    unit_from_json,
)
from spectral_doctor.trajectory.records import Examination

Row = dict[str, Any]
END = "file"


def rows_of(findings: Findings, content: str) -> list[Row]:
    """The rows of one file; `content` is its identity, by which a later run knows it again."""
    rows: list[Row] = []
    for number, item in enumerate(findings.examinations):
        rows += _network_rows(findings.name, number, item)
    rows += [{"row": "left_out", "path": findings.name, **asdict(item)} for item in findings.left_out]
    rows += [{"row": "series", "path": findings.name, "series": series_to_json(item)} for item in findings.series]
    if findings.error is not None:
        rows.append({"row": "error", "path": findings.name, **error_to_json(findings.error)})
    return [*rows, {"row": END, "path": findings.name, "content": content, "rows": len(rows)}]


def findings_of(rows: Sequence[Row]) -> Findings:
    """What `rows_of` was given. Raises `KeyError`, `ValueError` or `TypeError` where a row is wrong."""
    end = rows[-1]
    if end["row"] != END or end["rows"] != len(rows) - 1:
        raise ValueError(f"the rows of '{end['path']}' are not all there")
    failed = [row for row in rows if row["row"] == "error"]
    return Findings(
        name=str(end["path"]),
        examinations=tuple(_examinations(rows)),
        series=tuple(
            series_from_json(row["series"], f"a series of {row['path']}") for row in rows if row["row"] == "series"
        ),
        left_out=tuple(left_out_from_json(row) for row in rows if row["row"] == "left_out"),
        error=error_from_json(failed[0]) if failed else None,
    )


def lines_of(rows: Sequence[Row]) -> bytes:
    """Rows as JSON lines; every character beyond ASCII escaped, so that a path of any bytes comes back."""
    return b"".join(json.dumps(row, allow_nan=False).encode("ascii") + b"\n" for row in rows)


def error_to_json(error: DoctorError) -> Row:
    """An error as plain values: its class, its sentence, and for one of a file the file and the reason."""
    entry: Row = {"error": type(error).__name__, "message": str(error), "notes": getattr(error, "__notes__", [])}
    return entry | ({"file": error.path, "reason": error.reason} if isinstance(error, CheckpointError) else {})


def error_from_json(entry: Mapping[str, Any]) -> DoctorError:
    """The error again: of its class, with its sentence. Raises `ValueError` for a class that there is not."""
    kind = getattr(errors, str(entry["error"]), None)
    if not (isinstance(kind, type) and issubclass(kind, DoctorError)):
        raise ValueError(f"'{entry['error']}' is no error of spectral-doctor")
    # A constructor takes facts and writes the sentence; here the sentence is what there is.
    error = kind.__new__(kind, str(entry["message"]))
    if isinstance(error, CheckpointError):
        error.path, error.reason = str(entry["file"]), str(entry["reason"])
    for note in entry["notes"]:
        error.add_note(str(note))
    return error


def left_out_from_json(entry: Mapping[str, Any]) -> LeftOut:
    """What was left out, and why."""
    return LeftOut(str(entry["name"]), str(entry["reason"]), str(entry["format_name"]))


def _network_rows(path: str, number: int, item: Examination) -> Iterator[Row]:
    location = item.ref.location
    about: Row = {
        "path": path,
        "network": item.discriminator,
        "number": number,
        "certainty": item.certainty.value,
        "modified": item.modified,
        "step_clues": [[clue.source, clue.unit, clue.value] for clue in item.step_clues],
    }
    yield {
        "row": "network",
        **about,
        "why": item.why,
        "is_folder": isinstance(location, RemotePath) and location.is_folder,
        "skipped": [skipped_to_json(skipped) for skipped in item.skipped],
    }
    for layer in item.layers:
        identity = layer.identity
        yield {
            "row": "layer",
            **about,
            "name": identity.name,
            "kind": identity.kind,
            "form": identity.form,
            "stored_shape": list(identity.stored_shape),
            "matrix_shape": list(identity.matrix_shape),
            "singular_values": None if layer.spectrum is None else list(layer.spectrum.values),
            "non_finite": layer.non_finite,
            "at_bound": layer.at_bound,
        }


def _examinations(rows: Sequence[Row]) -> Iterator[Examination]:
    for row in rows:
        if row["row"] != "network":
            continue
        location = location_of(str(row["path"]))
        if isinstance(location, RemotePath):
            location = RemotePath(location.url, bool(row["is_folder"]))
        layers = [item for item in rows if item["row"] == "layer" and item["number"] == row["number"]]
        yield Examination(
            discriminator=str(row["network"]),
            certainty=Certainty(row["certainty"]),
            why=str(row["why"]),
            ref=CheckpointRef(location),
            modified=float(row["modified"]),
            step_clues=tuple(
                StepClue(str(key), unit_from_json(unit, str(row["path"])), int(value))
                for key, unit, value in row["step_clues"]
            ),
            layers=tuple(map(_layer, layers)),
            skipped=tuple(map(skipped_from_json, row["skipped"])),
        )


def _layer(row: Row) -> LayerSpectrum:
    """One layer, checked as one of a history is."""
    single = {name: [row[name]] for name in ("singular_values", "non_finite", "at_bound")}
    layer = layer_from_json({**row, **single}, 1, f"a layer of {row['path']}")
    return LayerSpectrum(layer.identity, layer.spectra[0], layer.non_finite[0], layer.at_bound[0])
