"""The layers of a diagnosis as a report for people lists them."""

from __future__ import annotations

import re
from collections import defaultdict

from spectral_doctor.diagnosis.records import Diagnosis, LayerFinding
from spectral_doctor.trajectory.records import LayerTrajectory

FORMS = {"plain": "–", "spectral norm": "SN", "weight norm": "WN", "spectral regularisation": "SR"}
_GROUP = re.compile(r"^(?P<layer>.*)\[group \d+/(?P<count>\d+)\]$")


def layer_rows(diagnosis: Diagnosis) -> list[tuple[LayerFinding, LayerTrajectory, str]]:
    """One row a layer with the name to show; of a grouped convolution, the group with the lowest plateau."""
    rows: list[tuple[LayerFinding, LayerTrajectory, str]] = []
    groups: dict[str, list[tuple[LayerFinding, LayerTrajectory]]] = defaultdict(list)
    for finding, layer in zip(diagnosis.layers, diagnosis.trajectory.layers, strict=True):
        match = _GROUP.match(layer.name)
        if not match:
            rows.append((finding, layer, layer.name))
            continue
        members = groups[match["layer"]]
        members.append((finding, layer))
        if len(members) == int(match["count"]):
            lowest = min(members, key=lambda pair: -1.0 if pair[0].plateau[-1] is None else pair[0].plateau[-1])
            rows.append((*lowest, f"{match['layer']} (lowest of {len(members)} groups)"))
    return rows
