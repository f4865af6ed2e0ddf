"""A folder of everything that an examination meets, and inspections as comparable text."""

from __future__ import annotations

import json
from pathlib import Path

from spectral_doctor.inspection import Inspection, inspect_paths
from spectral_doctor.report.document import inspection_document, render_json
from tests import hostile
from tests.builders import save, small_discriminator, small_generator


def mixed_folder(folder: Path, steps: int = 6) -> Path:
    """A series, a NaN, a second network, a generator, a torn file, one with code, a text file, a link, a history."""
    for step in range(steps):
        save(folder, f"run/netD_{step}.pth", {"D": small_discriminator(step), "iteration": step})
    broken = small_discriminator()
    broken["conv2.weight"][0, 0, 0, 0] = float("nan")
    save(folder, "nan/netD_1.pth", broken)
    save(folder, "two.pth", {"netD": small_discriminator(7), "mpd": small_discriminator(8), "netG": small_generator()})
    save(folder, "netG_1.pth", small_generator())
    whole = save(folder, "torn.pth", small_discriminator())
    whole.write_bytes(whole.read_bytes()[:3000])
    hostile.only_code_zip(folder / "code.pth", folder / "canary")
    (folder / "log.txt").write_text("loss 1.0\n")
    (folder / "latest.pth").symlink_to(folder / "two.pth")
    (folder / "old.json").write_text(json.dumps(inspection_document(inspect_paths(folder / "run"))))
    (folder / "broken.json").write_text('{"schema": "spectral-doctor/history/1", "series": [{}]}')
    return folder


def text_of(inspection: Inspection) -> str:
    """Every figure of an inspection, each to its last bit."""
    return render_json(inspection) + repr(inspection)
