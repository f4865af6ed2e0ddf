"""A check from its settings to its outcome: load, inspect, judge, compare with the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectral_doctor.errors import CheckpointError, NothingToExamine, UsageError
from spectral_doctor.gate.baseline import compared, read_baseline
from spectral_doctor.gate.files import found_from, from_file
from spectral_doctor.gate.settings import GateSettings, from_environment, from_options, merged

if TYPE_CHECKING:
    from spectral_doctor.gate.records import CheckOutcome
    from spectral_doctor.inspection import Progress
    from spectral_doctor.scaling.records import Scale
    from spectral_doctor.trajectory.cache import SpectraCache


def load_settings(
    options: Mapping[str, Any], environment: Mapping[str, str], folder: Path, config: Path | None = None
) -> GateSettings:
    """Merge the settings file, the environment and the command line's options, each over the one before.

    The file is `config`, else the variable SPECTRAL_DOCTOR_CONFIG, else the nearest upwards from `folder`.
    Raises `UsageError`.
    """
    named = config or (
        Path(environment["SPECTRAL_DOCTOR_CONFIG"]) if environment.get("SPECTRAL_DOCTOR_CONFIG") else None
    )
    file = found_from(folder) if named is None else from_file(named)
    return merged(file, from_environment(environment), from_options(options))


def check_paths(
    settings: GateSettings,
    root: Path,
    progress: Progress | None = None,
    *,
    updating: bool = False,
    cache: SpectraCache | None = None,
    scale: Scale | None = None,
) -> CheckOutcome:
    """Examine the paths of the settings and decide; where nothing can be examined, that is the outcome.

    `scale` says by how many processes, or which cluster. With `updating`, a baseline file that is not there yet counts
    as empty. Raises `UsageError`.
    """
    if not settings.paths:
        raise UsageError("no path: name a file or folder, or set paths in the settings file.")
    if updating and settings.baseline is None:
        raise UsageError("--update-baseline: name the file with --baseline FILE.")
    baseline = None
    if settings.baseline is not None:
        file = Path(settings.baseline)
        baseline = frozenset() if updating and not file.exists() else read_baseline(file)
    from spectral_doctor.gate.judging import judge, nothing_examined
    from spectral_doctor.scaling.records import Options, Scale
    from spectral_doctor.scaling.running import inspect_at_scale

    options = Options(settings.discriminator, tuple(settings.exclude))
    try:
        inspection = inspect_at_scale(
            settings.paths, scale or Scale(), options=options, step=settings.step, progress=progress, cache=cache
        )
    except (NothingToExamine, CheckpointError) as error:
        return nothing_examined(error, settings, str(root))
    outcome = judge(inspection, settings, str(root))
    return outcome if baseline is None else compared(outcome, baseline)
