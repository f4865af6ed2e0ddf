"""What the reports for people share: how a network was recognised, and the rows of its layers."""

from __future__ import annotations

import re
from collections import defaultdict

from spectral_doctor.diagnosis.records import Diagnosis, LayerFinding
from spectral_doctor.errors import printable
from spectral_doctor.records import Certainty
from spectral_doctor.trajectory.records import SpectralTrajectory

FORMS = {"plain": "–", "spectral norm": "SN", "weight norm": "WN", "spectral regularisation": "SR"}
_GROUP = re.compile(r"^(?P<layer>.*)\[group \d+/(?P<count>\d+)\]$")


def recognised(trajectory: SpectralTrajectory) -> str:
    """How it was taken for a discriminator: `confirmed by key 'netD'`, `inferred from its shape: one output`."""
    how = "confirmed by" if trajectory.certainty is Certainty.CONFIRMED else "inferred from its shape:"
    return f"{how} {printable(trajectory.why)}"


def layer_rows(diagnosis: Diagnosis) -> list[tuple[LayerFinding, str]]:
    """One row a layer with the name to show; of a grouped convolution, the group with the lowest plateau."""
    rows: list[tuple[LayerFinding, str]] = []
    groups: dict[str, list[LayerFinding]] = defaultdict(list)
    for finding in diagnosis.layers:
        match = _GROUP.match(finding.layer)
        if not match:
            rows.append((finding, finding.layer))
            continue
        members = groups[match["layer"]]
        members.append(finding)
        if len(members) == int(match["count"]):
            lowest = min(members, key=lambda item: -1.0 if item.plateau[-1] is None else item.plateau[-1])
            rows.append((lowest, f"{match['layer']} (lowest of {len(members)} groups)"))
    return rows
