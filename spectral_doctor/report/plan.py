"""A plan as text or JSON: what would be read, file by file."""

from __future__ import annotations

import json
from dataclasses import asdict

from spectral_doctor.errors import printable
from spectral_doctor.scaling.planning import Plan, PlannedFile

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def render_plan(plan: Plan) -> str:
    """One line a file with its networks, what holds none with the reason, and the sums."""
    lines = [line for file in plan.files for line in _file_lines(file)]
    lines += [f"{printable(item.name)}  nothing to examine: {printable(item.reason)}" for item in plan.without]
    lines += [f"{printable(name)}  a history, read whole" for name in plan.histories]
    networks = sum(len(file.networks) for file in plan.files)
    lines.append(
        f"{len(plan.files)} checkpoints, {networks} discriminators: {_size(plan.weight_bytes)} to read of "
        f"{_size(plan.file_bytes)}; {len(plan.without)} files with nothing to examine, {plan.left_out} left out"
    )
    return "\n".join(lines) + "\n"


def render_plan_json(plan: Plan) -> str:
    """The same as JSON."""
    sums = {"weight_bytes": plan.weight_bytes, "file_bytes": plan.file_bytes}
    return json.dumps({**asdict(plan), **sums}, indent=1) + "\n"


def _file_lines(file: PlannedFile) -> list[str]:
    head = f"{printable(file.path)}  {file.format_name}, {_size(file.file_bytes)}"
    return [head] + [
        f"  {printable(item.name)}  {item.layers} layers, {_size(item.weight_bytes)}" for item in file.networks
    ]


def _size(count: int) -> str:
    """Bytes in the unit that leaves at most three digits before the point."""
    size, unit = float(count), 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{count} bytes" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"
