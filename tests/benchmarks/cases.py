"""Write the small inputs that once failed, examine each, and say whether the answer is the right one.

    python tests/benchmarks/cases.py FOLDER

FOLDER holds one script a case (`python CASE.py OUT` writes the input), as `in-the-field.md` names them. The right
answers below are those of the scripts' docstrings: reading, networks, steps and runs, the state of the spectrum, since
when, and where to go back to; and nowhere may modes be called kept from a discriminator alone. The last line is one
JSON object: cases answered rightly, of all.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.diagnosis.records import Diagnosis, ModesStatement
from spectral_doctor.errors import DoctorError
from spectral_doctor.inspection import Inspection, inspect_paths

Outcome = Inspection | DoctorError
Answer = Callable[[Outcome], str]


def series_are(*expected: tuple[int, Sequence[int] | None], count: int | None = None) -> Answer:
    """As many series as given, each with its number of layers and its steps (None: one checkpoint without a step)."""

    def answer(outcome: Outcome) -> str:
        found = sorted((len(item.trajectory.layers), _steps(item) or ()) for item in _diagnoses(outcome))
        wanted = sorted((layers, tuple(steps or ())) for layers, steps in (expected * (count or 1)))
        return "" if found == wanted else f"found {found}, expected {wanted}"

    return answer


def all_of(*answers: Answer) -> Answer:
    """The first thing that is wrong."""
    return lambda outcome: next((wrong for item in answers if (wrong := item(outcome))), "")


def layers_are(*names: str) -> Answer:
    """The layers of the one discriminator."""

    def answer(outcome: Outcome) -> str:
        found = {layer.name for item in _diagnoses(outcome) for layer in item.trajectory.layers}
        return "" if found == set(names) else f"layers {sorted(found)}"

    return answer


def names_hold(*parts: str) -> Answer:
    """Every part stands in the heading of a series, and no two headings are alike."""

    def answer(outcome: Outcome) -> str:
        headings = [item.trajectory.discriminator for item in _diagnoses(outcome)]
        lacking = [part for part in parts if not any(part in heading for heading in headings)]
        if lacking or len(set(headings)) < len(headings):
            return f"headings {headings}"
        return ""

    return answer


def ends_with(name: str) -> Answer:
    """The file that the series ends with, and that the verdict is about."""

    def answer(outcome: Outcome) -> str:
        found = [item.trajectory.checkpoints[-1].name for item in _diagnoses(outcome)]
        return "" if found == [name] else f"ends with {found}"

    return answer


def steps_in(*choices: tuple[str, Sequence[int]]) -> Answer:
    """Unit and steps of the one series: one of several right answers."""

    def answer(outcome: Outcome) -> str:
        found = [(item.trajectory.step_unit, item.trajectory.steps) for item in _diagnoses(outcome)]
        right = [[(unit, tuple(steps))] for unit, steps in choices]
        return "" if found in right else f"steps {found}"

    return answer


def refused_with(*parts: str) -> Answer:
    """An error whose sentence holds every part."""

    def answer(outcome: Outcome) -> str:
        if isinstance(outcome, Inspection):
            return "examined"
        lacking = [part for part in parts if part not in str(outcome)]
        return f"'{outcome}' lacks {lacking}" if lacking else ""

    return answer


def checkpoints_are(**counts: int) -> Answer:
    """How many checkpoints the series have whose heading holds a part."""

    def answer(outcome: Outcome) -> str:
        for part, count in counts.items():
            found = [len(i.trajectory.steps) for i in _diagnoses(outcome) if part in i.trajectory.discriminator]
            if not found or any(length != count for length in found):
                return f"{part}: {found} checkpoints, expected {count}"
        return ""

    return answer


def spectra_are(*words: str, since: int | None = None, back_to: int | None = None) -> Answer:
    """The state of every spectrum is one of the words; its onset, and the step that is advised, where they are said."""

    def answer(outcome: Outcome) -> str:
        for item in _diagnoses(outcome):
            if item.spectrum.value not in words or item.modes.statement is ModesStatement.KEPT:
                return f"{item.trajectory.discriminator}: {item.words}"
            if since is not None and item.onset != since:
                return f"since {item.onset}"
            if back_to is not None and item.advice.step != back_to:
                return f"go back to {item.advice.step}"
        return "" if _diagnoses(outcome) else "nothing examined"

    return answer


def no_advice(outcome: Outcome) -> str:
    """No checkpoint is named to build on."""
    return next((f"build on {item.advice.step}" for item in _diagnoses(outcome) if item.advice.checkpoint), "")


def no_finding(outcome: Outcome) -> str:
    """Nothing beside the state of the spectrum is wrong."""
    return next((finding.sentence for item in _diagnoses(outcome) for finding in item.findings), "")


def only_b_collapses(outcome: Outcome) -> str:
    """Of two domains the scales of `b` have collapsed and those of `a` are sound."""
    for item in _diagnoses(outcome):
        name = item.trajectory.series.name
        expected = "COLLAPSED" if re.search(r"\bb\b", name) else "SOUND"
        if item.spectrum.value != expected:
            return f"{name}: {item.words}"
    return ""


def _diagnoses(outcome: Outcome) -> tuple[Diagnosis, ...]:
    return outcome.diagnoses if isinstance(outcome, Inspection) else ()


def _steps(diagnosis: Diagnosis) -> tuple[int, ...] | None:
    trajectory = diagnosis.trajectory
    return None if trajectory.step_unit == "checkpoint" and len(trajectory.steps) == 1 else trajectory.steps


FOUR = (10, 20, 30, 40)
DOMAINS = ("disA", "disA2", "disB", "disB2", "disContent", "disGA", "disGB", "disLA", "disLB")
CASES: dict[str, Answer] = {
    "actor_critic_and_discriminator": all_of(
        series_are((3, (500, 1000, 1500, 2000))),
        layers_are("trunk.0", "trunk.2", "amp_linear"),
        spectra_are("COLLAPSED"),
    ),
    "date_in_a_folder": series_are((3, None)),
    "discriminators_within_discriminators": series_are((3, (0, 10, 20, 30)), count=2),
    "epoch_called_step": steps_in(("step", (0, 1000, 2000, 3000)), ("epoch", (0, 10, 20, 30))),
    "exploded_alone": all_of(series_are((3, None)), spectra_are("EXPLODED")),
    "final_beside_epochs": all_of(ends_with("netD_final.pth"), spectra_are("COLLAPSED", "DECLINING", back_to=40)),
    "folds_are_not_steps": all_of(series_are((3, None), count=5), names_hold("fold_1", "fold_5")),
    "formats_not_opened": refused_with("2 HDF5 files", "2 Keras files", "2 TorchScript archives", "TensorFlow"),
    "head_starts_small": all_of(series_are((4, (0, 10, 20, 30))), spectra_are("SOUND"), no_finding),
    "keys_with_a_capital": all_of(series_are((3, FOUR), count=12), spectra_are("COLLAPSED", since=30)),
    "learning_rate_to_zero": all_of(series_are((6, (20, 40, 60, 80, 100, 120, 140))), spectra_are("SOUND")),
    "lfs_pointers": refused_with("Git LFS pointer", "git lfs pull"),
    "names_it_does_not_know": all_of(
        names_hold("multiperioddisc", "multiresddisc", "discr", *DOMAINS),
        checkpoints_are(disGA=4, disContent=4),
        spectra_are("COLLAPSED"),
    ),
    "never_trained": all_of(series_are((3, None)), spectra_are("UNTRAINED"), no_advice),
    "one_checkpoint_declines": all_of(series_are((3, None)), spectra_are("SOUND", "NOT JUDGED")),
    "same_name_in_several_folders": all_of(series_are((3, None), count=3), names_hold("car1", "car2")),
    "state_dict_of_numpy_arrays": series_are((3, None)),
    "step_two_folders_up": all_of(series_are((3, (500, 1000, 1500, 2000))), spectra_are("COLLAPSED")),
    "thousands_with_k": all_of(series_are((3, (5000, 10000, 20000, 100000))), spectra_are("COLLAPSED")),
    "two_directions_left": all_of(
        series_are((3, (1000, 2000, 3000, 4000, 5000))), spectra_are("COLLAPSED", "DECLINING", since=3000, back_to=2000)
    ),
    "two_domains_in_one_file": all_of(series_are((3, (10000, 20000, 30000, 40000)), count=6), only_b_collapses),
    "two_numbers_in_the_name": all_of(steps_in(("epoch", (1, 2, 10, 100))), spectra_are("COLLAPSED")),
    "whole_module_torch_save": all_of(series_are((4, FOUR), count=3), spectra_are("COLLAPSED", since=30)),
}


def examined(script: Path, folder: Path) -> Outcome:
    """Write a case's input and examine it."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, str(script), str(folder)], check=True, env=environment, capture_output=True)
    try:
        return inspect_paths([folder])
    except DoctorError as error:
        return error


def main() -> None:
    """Every case of the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    scripts = [path for path in sorted(parser.parse_args().folder.glob("*.py")) if path.stem in CASES]
    right: list[str] = []
    for script in scripts:
        with tempfile.TemporaryDirectory() as folder:
            wrong = CASES[script.stem](examined(script, Path(folder)))
        right += [] if wrong else [script.stem]
        print(f"{script.stem:40} {wrong or 'right'}", flush=True)
    missing = sorted(CASES.keys() - {script.stem for script in scripts})
    print(json.dumps({"right": f"{len(right)}/{len(scripts)}", "without_a_script": missing}))


if __name__ == "__main__":
    main()
