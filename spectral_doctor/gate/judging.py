"""From an inspection to problems: which rules are broken, where, and at which level."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from spectral_doctor.diagnosis.findings import still_since
from spectral_doctor.diagnosis.records import (
    Diagnosis,
    FindingKind,
    LayerFinding,
    LayerState,
    ModesStatement,
    SpectrumState,
)
from spectral_doctor.diagnosis.wording import modes_sentence, spectrum_sentence
from spectral_doctor.errors import DoctorError, NothingToExamine, printable
from spectral_doctor.gate.coverage import coverage_of
from spectral_doctor.gate.records import CheckOutcome, Coverage, Problem
from spectral_doctor.gate.rules import RULES, Level
from spectral_doctor.gate.settings import GateSettings
from spectral_doctor.inspection import Inspection
from spectral_doctor.records import Certainty, Failure
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory

_BY_STATE = {
    SpectrumState.COLLAPSED: "SD101",
    SpectrumState.DECLINING: "SD102",
    SpectrumState.NOT_JUDGED: "SD103",
    SpectrumState.CLIPPED: "SD103",
    SpectrumState.COMPENSATED: "SD103",
    SpectrumState.STILL: "SD104",
    SpectrumState.UNTRAINED: "SD107",
    SpectrumState.EXPLODED: "SD205",
}
_BY_MODES = {ModesStatement.LOST: "SD105", ModesStatement.IN_DOUBT: "SD106"}
# What goes back to an earlier checkpoint.
_ADVISING = ("SD101", "SD102", "SD105", "SD106", "SD205")
_ONLY_INFERRED = "A warning only: its shape alone says that this is a discriminator."
_BY_LAYER_STATE = {LayerState.LOW: "SD111", LayerState.FALLEN: "SD112"}


def judge(inspection: Inspection, settings: GateSettings, root: str = "") -> CheckOutcome:
    """Decide on an inspection under the settings; problems in the order of discriminators and codes."""
    inspection = _distinctly_named(inspection)
    found: list[Problem] = []
    for diagnosis in inspection.diagnoses:
        problems = (item for item in _problems(diagnosis) if not settings.silences(item.rule.code, item.layer))
        found += _softened(problems) if diagnosis.trajectory.certainty is Certainty.INFERRED else problems
    found += [replace(_about_files("SD302", str(item)), failure=item) for item in inspection.failures]
    coverage = coverage_of(inspection)
    least = settings.fail_on_coverage
    if least is not None and coverage.percent < least:
        # Rounded down, so that a share just below the limit does not read as if it had reached it.
        share = int(10 * coverage.percent) / 10
        sentence = f"{share:g} % was examined ({coverage_words(coverage)}), --fail-on-coverage asks for {least:g} %"
        found.append(_about_files("SD303", sentence))
    return CheckOutcome(
        inspection=inspection,
        problems=tuple(_with_levels(found, settings)),
        levels=active_levels(settings),
        coverage=coverage,
        root=root,
    )


def nothing_examined(error: DoctorError, settings: GateSettings, root: str = "") -> CheckOutcome:
    """The outcome where nothing could be examined: one problem, SD301, which nothing silences."""
    sentence = " ".join([str(error), *getattr(error, "__notes__", ())])
    inspection = Inspection((), (), (Failure("", sentence),))
    return CheckOutcome(
        inspection=inspection,
        problems=(_about_files("SD301", sentence),),
        levels=active_levels(settings),
        coverage=coverage_of(inspection),
        error=sentence,
        unreadable=not isinstance(error, NothingToExamine),
        root=root,
    )


def active_levels(settings: GateSettings) -> dict[str, Level]:
    """Every rule that is on, with its level."""
    levels = {code: settings.level_of(code) for code in RULES}
    return {code: level for code, level in levels.items() if level is not Level.OFF}


def coverage_words(coverage: Coverage) -> str:
    """What was examined, in words: `9 of 10 checkpoints, 11 of 11 weights`."""
    files, weights = coverage.files + coverage.files_missed, coverage.weights + coverage.weights_missed
    return (
        f"{coverage.files} of {files} checkpoint{'' if files == 1 else 's'}, "
        f"{coverage.weights} of {weights} weight{'' if weights == 1 else 's'}"
    )


def _with_levels(found: Sequence[Problem], settings: GateSettings) -> Iterator[Problem]:
    """Give each problem its level, and drop those that are off."""
    for problem in found:
        level = settings.level_of(problem.rule.code)
        if level is not Level.OFF:
            # A problem that is over by itself is told, and does not fail.
            softened = Level.WARN if problem.level is Level.WARN and level is Level.FAIL else level
            yield replace(problem, level=softened)


def _distinctly_named(inspection: Inspection) -> Inspection:
    """Number series of one name, as two histories can hold, so that no problem is taken for another's."""
    seen: Counter[str] = Counter()
    diagnoses = []
    for diagnosis in inspection.diagnoses:
        name = diagnosis.trajectory.discriminator
        seen[name] += 1
        if seen[name] > 1:
            trajectory = _numbered(diagnosis.trajectory, seen[name])
            diagnosis = replace(diagnosis, trajectory=trajectory)
        diagnoses.append(diagnosis)
    return replace(inspection, diagnoses=tuple(diagnoses))


def _numbered(trajectory: SpectralTrajectory, number: int) -> SpectralTrajectory:
    series = trajectory.series
    return replace(trajectory, series=replace(series, run=f"{series.run}, {number}" if series.run else str(number)))


def _softened(problems: Iterable[Problem]) -> Iterator[Problem]:
    """What is found in a network that is a discriminator by its shape alone is told, and never fails."""
    for item in problems:
        yield replace(item, level=Level.WARN, sentence=f"{item.sentence} {_ONLY_INFERRED}")


def _problems(diagnosis: Diagnosis) -> Iterator[Problem]:
    trajectory = diagnosis.trajectory
    if diagnosis.spectrum in _BY_STATE:
        code = _BY_STATE[diagnosis.spectrum]
        yield _about_discriminator(code, diagnosis, spectrum_sentence(diagnosis))
    if diagnosis.modes.statement in _BY_MODES:
        code = _BY_MODES[diagnosis.modes.statement]
        yield _about_discriminator(code, diagnosis, modes_sentence(diagnosis.modes))
    for finding in diagnosis.layers:
        if finding.state in _BY_LAYER_STATE:
            code = _BY_LAYER_STATE[finding.state]
            yield _about_layer(code, diagnosis, finding.trajectory, -1, _plateau_sentence(finding))
    faults = {finding.kind: finding for finding in diagnosis.findings}
    if FindingKind.NON_FINITE in faults:
        yield from _non_finite(diagnosis)
    for kind, code in (
        (FindingKind.EXPLODING, "SD202"),
        (FindingKind.UNCHANGED, "SD203"),
        (FindingKind.ZERO, "SD204"),
    ):
        for layer in trajectory.layers:
            if kind in faults and layer.name in faults[kind].layers:
                yield _about_layer(code, diagnosis, layer, -1, _fault_sentence(kind, diagnosis, layer))


def _advice(diagnosis: Diagnosis) -> str:
    advice = diagnosis.advice
    if advice.checkpoint is None:
        return ""
    unit = diagnosis.trajectory.step_unit
    return f" Resume from {printable(advice.checkpoint)} ({unit} {advice.step}: {advice.why})."


def _plateau_sentence(finding: LayerFinding) -> str:
    present = [value for value in finding.plateau if value is not None]
    fallen = f", down from {max(present):.2f}" if max(present) - present[-1] > 0.005 else ""
    return f"its plateau σ{finding.plateau_index}/σ1 is {present[-1]:.2f}{fallen}."


def _non_finite(diagnosis: Diagnosis) -> Iterator[Problem]:
    for layer in diagnosis.trajectory.layers:
        broken = [index for index, count in enumerate(layer.non_finite) if count]
        if not broken:
            continue
        count = layer.non_finite[broken[0]]
        over = not layer.non_finite[-1]
        words = f"{count} value{' is' if count == 1 else 's are'} NaN or infinite"
        unit, step = diagnosis.trajectory.step_unit, diagnosis.trajectory.steps[broken[0]]
        sentence = f"{words} at {unit} {step}{', and finite again at the last' if over else ''}."
        yield _about_layer("SD201", diagnosis, layer, broken[0], sentence, over)


def _fault_sentence(kind: FindingKind, diagnosis: Diagnosis, layer: LayerTrajectory) -> str:
    trajectory = diagnosis.trajectory
    if kind is FindingKind.ZERO:
        return "every value is zero."
    if kind is FindingKind.UNCHANGED:
        return f"unchanged since {trajectory.step_unit} {trajectory.steps[still_since(layer)]}."
    before, now = (0.0 if spectrum is None else spectrum.sigma_max for spectrum in layer.spectra[-2:])
    return f"σ1 is {now:.3g}, {now / before:.1f}-fold that of the checkpoint before."


def _about_discriminator(code: str, diagnosis: Diagnosis, sentence: str) -> Problem:
    trajectory = diagnosis.trajectory
    return Problem(
        rule=RULES[code],
        level=Level.FAIL,
        discriminator=trajectory.discriminator,
        layer="",
        checkpoint=trajectory.checkpoints[-1],
        step=trajectory.steps[-1],
        sentence=sentence + (_advice(diagnosis) if code in _ADVISING else ""),
    )


def _about_layer(
    code: str, diagnosis: Diagnosis, layer: LayerTrajectory, index: int, sentence: str, over: bool = False
) -> Problem:
    trajectory = diagnosis.trajectory
    return Problem(
        rule=RULES[code],
        level=Level.WARN if over else Level.FAIL,
        discriminator=trajectory.discriminator,
        layer=layer.name,
        checkpoint=trajectory.checkpoints[index],
        step=trajectory.steps[index],
        sentence=sentence,
    )


def _about_files(code: str, sentence: str) -> Problem:
    return Problem(RULES[code], Level.FAIL, "", "", None, None, f"{sentence.rstrip('.')}.")
