"""What both papers claim, and what the tables here say to it: each verdict is computed from the runs on file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import mean

from spectral_doctor.reproduction.records import Run
from spectral_doctor.reproduction.summary import LOST_BELOW

Tables = Mapping[str, Sequence[Run]]


class Verdict(Enum):
    """What is said to a claim."""

    AGREE = "agree"
    DISAGREE = "disagree"
    NOT_TESTED = "could not test"


@dataclass(frozen=True)
class Finding:
    """A claim of a paper, our figure in words, and the verdict."""

    paper: str
    claim: str
    ours: str
    verdict: Verdict


@dataclass(frozen=True)
class Claim:
    """A claim, and how it is tried on the runs of a table: the figure in words, and whether it holds.

    Without a `table` it could not be tested, and `why` says why.
    """

    paper: str
    claim: str
    table: str = ""
    tried: Callable[[Sequence[Run]], tuple[str, bool] | None] = lambda runs: None
    why: str = ""

    def found(self, tables: Tables) -> Finding:
        """The finding; a table that is not there, or lacks an arm, leaves the claim untested."""
        runs = tables.get(self.table, ())
        tried = self.tried(runs) if runs else None
        if tried is None:
            why = self.why or f"the table `{self.table}` lacks its runs"
            return Finding(self.paper, self.claim, why, Verdict.NOT_TESTED)
        ours, holds = tried
        return Finding(self.paper, self.claim, ours, Verdict.AGREE if holds else Verdict.DISAGREE)


def findings_of(tables: Tables) -> tuple[Finding, ...]:
    """The findings on every claim, in the papers' order."""
    return tuple(claim.found(tables) for claim in CLAIMS)


def _of(runs: Sequence[Run], arm: str) -> list[Run]:
    return [run for run in runs if run.arm == arm]


def _more_modes(runs: Sequence[Run], better: str = "VEEGAN", worse: str = "plain") -> tuple[str, bool] | None:
    """Both arms' modes captured, as the paper counts them, with the quality; holds where the better has more."""
    one, other = _of(runs, better), _of(runs, worse)
    if not (one and other):
        return None
    return f"{_figures(one)} against {_figures(other)}", _modes(one) > _modes(other)


def _figures(runs: Sequence[Run]) -> str:
    """Modes captured, solid ones and quality, in means over so many runs."""
    solid, quality = mean(run.last.solid for run in runs), 100 * mean(run.last.quality for run in runs)
    counted = f"{len(runs)} run" + "s" * (len(runs) > 1)
    return f"{_modes(runs):.1f} modes ({solid:.1f} solid) at {quality:.1f} % in {counted}"


def _modes(runs: Sequence[Run]) -> float:
    return mean(run.last.modes for run in runs)


def _level(modes: float, quality: float) -> Callable[[Sequence[Run]], tuple[str, bool] | None]:
    """VEEGAN's modes and quality; holds where both reach the published ones."""

    def tried(runs: Sequence[Run]) -> tuple[str, bool] | None:
        ours = _of(runs, "VEEGAN")
        if not ours:
            return None
        reached = _modes(ours) >= modes and 100 * mean(run.last.quality for run in ours) >= quality
        return _figures(ours), reached

    return tried


def _plain_sn(run: Run) -> bool:
    return run.arm.endswith(" SN")


def _lost(run: Run) -> bool:
    return run.last.solid < LOST_BELOW * run.best.solid


def _fell(run: Run) -> bool:
    return run.onset is not None


def _together(runs: Sequence[Run]) -> tuple[str, bool] | None:
    """In how many runs with spectral norm alone modes and spectrum went together; holds where none parted."""
    chosen = [run for run in runs if _plain_sn(run)]
    if not chosen:
        return None
    pairs = [(_lost(run), _fell(run)) for run in chosen]
    both, modes, spectrum = pairs.count((True, True)), pairs.count((True, False)), pairs.count((False, True))
    words = f"of {len(chosen)} runs both in {both}, only modes in {modes}, only the spectrum in {spectrum}"
    return words, modes + spectrum == 0


def _narrow(runs: Sequence[Run]) -> tuple[str, bool] | None:
    """Spectra that fell in the narrowest and the widest discriminator."""
    by_width: dict[int, list[bool]] = {}
    for run in filter(_plain_sn, runs):
        by_width.setdefault(int(run.arm.split(" ")[0].split("-")[1]), []).append(_fell(run))
    return _ends(by_width, "channels", rising=False)


def _batch(runs: Sequence[Run]) -> tuple[str, bool] | None:
    """Spectra that fell at the smallest and the largest batch."""
    by_batch: dict[int, list[bool]] = {}
    for run in filter(_plain_sn, runs):
        by_batch.setdefault(int(run.arm.split("-")[0]), []).append(_fell(run))
    return _ends(by_batch, "a batch", rising=True)


def _ends(groups: Mapping[int, Sequence[bool]], unit: str, *, rising: bool) -> tuple[str, bool] | None:
    if len(groups) < 2:
        return None
    ends = [(size, groups[size]) for size in (min(groups), max(groups))]
    words = ", ".join(f"{sum(fell)} of {len(fell)} at {size} {unit}" for size, fell in ends)
    low, high = (sum(fell) / len(fell) for _, fell in ends)
    return f"spectra fell in {words}", (high > low) if rising else (low > high)


def _kept(runs: Sequence[Run]) -> tuple[str, bool] | None:
    """Runs under static or dynamic compensation from the start that lost modes; holds where none did."""
    chosen = [run for run in runs if run.arm.split(" ", 1)[-1] in ("static", "dynamic")]
    if not chosen:
        return None
    lost, fell = sum(map(_lost, chosen)), sum(map(_fell, chosen))
    return f"of {len(chosen)} compensated runs {lost} lost modes, {fell} their spectrum", lost + fell == 0


def _pairs(runs: Sequence[Run], suffix: str, measure: Callable[[Run], float]) -> list[tuple[float, float]]:
    """A measure of an arm's runs beside that of plain SN, same cell and seed."""
    known = {(run.arm, run.seed): measure(run) for run in runs}
    return [
        (value, known[beside])
        for (arm, seed), value in known.items()
        if arm.endswith(suffix) and (beside := (arm.removesuffix(suffix) + "SN", seed)) in known
    ]


def _better_at_best(runs: Sequence[Run]) -> tuple[str, bool] | None:
    """Compensation against SN at the best checkpoints, as the paper's table 2 compares; holds where it wins 3 of 4."""
    pairs = [pair for suffix in ("static", "dynamic") for pair in _pairs(runs, suffix, lambda run: run.best.quality)]
    if not pairs:
        return None
    wins, losses = sum(ours > theirs for ours, theirs in pairs), sum(ours < theirs for ours, theirs in pairs)
    return (
        f"quality at the best checkpoint higher in {wins} of {len(pairs)} pairs, lower in {losses}",
        4 * wins >= 3 * len(pairs),
    )


def _resumed(runs: Sequence[Run]) -> tuple[str, bool] | None:
    """Runs resumed under compensation from before an onset, against the untreated end; holds where they win 3 of 4."""
    chosen = [run for run in runs if " SN, then " in run.arm]
    known = {(run.arm, run.seed): run for run in runs}
    pairs = [
        (run.last.solid, untreated.last.solid)
        for run in chosen
        if _fell(untreated := known[run.arm.split(",")[0], run.seed])
    ]
    if not pairs:
        return None
    wins, losses = sum(ours > theirs for ours, theirs in pairs), sum(ours < theirs for ours, theirs in pairs)
    words = f"of {len(pairs)} resumed runs {wins} end with more solid modes than the untreated run, {losses} with fewer"
    return words, 4 * wins >= 3 * len(pairs)


_VEEGAN, _SR = "VEEGAN", "SR-GAN"
CLAIMS = (
    Claim(_VEEGAN, "Ring: VEEGAN captures more modes than a GAN (8 against 1)", "ring", _more_modes),
    Claim(_VEEGAN, "Ring: 8 modes, 52.9 % of high quality", "ring", _level(8, 52.9)),
    Claim(_VEEGAN, "Grid: VEEGAN captures more modes than a GAN (24.6 against 3.3)", "grid", _more_modes),
    Claim(_VEEGAN, "Grid: 24.6 modes, 40 % of high quality", "grid", _level(24.6, 40)),
    Claim(_VEEGAN, "1 200 dimensions: VEEGAN captures more (5.5 against 1.6)", "synthetic-1200d", _more_modes),
    Claim(_VEEGAN, "1 200 dimensions: 5.5 modes, 28.29 % of high quality", "synthetic-1200d", _level(5.5, 28.29)),
    Claim(_VEEGAN, "Stacked digits: VEEGAN captures more than a DCGAN (150 against 99)", "stacked", _more_modes),
    Claim(_VEEGAN, "CIFAR-10: lower error of inference by optimisation", why="CIFAR-10 is not at hand"),
    Claim(_SR, "Modes are lost exactly where the spectrum collapses (26 of 26 settings)", "sr-gan", _together),
    Claim(_SR, "A narrow discriminator brings the collapse on", "sr-gan", _narrow),
    Claim(_SR, "A large batch brings the collapse on", "sr-gan", _batch),
    Claim(_SR, "Under compensation nothing collapses", "sr-gan", _kept),
    Claim(
        _SR,
        "Compensation is better than SN at the best checkpoint (25 of 26 settings by FID)",
        "sr-gan",
        _better_at_best,
    ),
    Claim(_SR, "The same, on VEEGAN's ring", "ring", _better_at_best),
    Claim(_SR, "The same, on VEEGAN's grid", "grid", _better_at_best),
    Claim(_SR, "Resumed under compensation from before the onset, a run is saved", "sr-gan", _resumed),
    Claim(_SR, "SN collapses at a rate of 2e-4 within 50 000 steps", why="50 000 steps are beyond our machines"),
    Claim(
        _SR, "ImageNet: dynamic compensation raises the inception score by 19 to 45 %", why="ImageNet is not at hand"
    ),
    Claim(_SR, "Half of the singular values raised is the best share", why="one share was run"),
)
