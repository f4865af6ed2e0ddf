"""The pytest plugin: checkpoints checked as tests, one item a discriminator.

    pytest --spectral-doctor runs/my_gan

or, in pytest's own settings, `spectral_doctor_paths = ["runs/my_gan"]`. Without either it does nothing and
imports nothing. Rules, levels and the baseline are those of `spectral-doctor check`, from the settings file above
pytest's root and from the environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spectral_doctor.errors import UsageError, printable

if TYPE_CHECKING:
    from spectral_doctor.gate.records import CheckOutcome

OPTION = "spectral_doctor_option"
INI = "spectral_doctor_paths"
FILES = "files"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--spectral-doctor PATH` and the setting `spectral_doctor_paths`."""
    group = parser.getgroup("spectral-doctor")
    group.addoption(
        "--spectral-doctor",
        action="append",
        default=[],
        dest=OPTION,
        metavar="PATH",
        help="check the checkpoints in PATH, one test a discriminator; may be repeated",
    )
    parser.addini(INI, "paths that --spectral-doctor checks when it is not given", type="paths", default=[])


@pytest.hookimpl(tryfirst=True)  # before -k and -m choose among the items
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the items of the paths that were named."""
    paths = config.getoption(OPTION) or [str(path) for path in config.getini(INI)]
    if paths:
        collector: SpectralCollector = SpectralCollector.from_parent(session, name="spectral-doctor")
        items += collector.with_paths(paths).collect()


class SpectralCollector(pytest.Collector):
    """Examines the paths once, and has one item a discriminator and one for the files."""

    paths: tuple[str, ...] = ()

    def with_paths(self, paths: list[str]) -> SpectralCollector:
        """Itself, for these paths."""
        self.paths = tuple(paths)
        return self

    def collect(self) -> list[pytest.Item]:
        """Check, and give every discriminator its item; a usage error ends the run of pytest."""
        from spectral_doctor.gate.checking import check_paths, load_settings

        root = self.config.rootpath
        try:
            settings = load_settings({}, os.environ, root)
            outcome = check_paths(replace(settings, paths=self.paths), root)
        except UsageError as error:
            raise pytest.UsageError(f"--spectral-doctor: {error}") from error
        return list(self._items(outcome))

    def _items(self, outcome: CheckOutcome) -> Iterator[pytest.Item]:
        for name in (*(item.trajectory.discriminator for item in outcome.inspection.diagnoses), ""):
            item: SpectralItem = SpectralItem.from_parent(self, name=printable(name or FILES))
            yield item.about(outcome, name)


class SpectralItem(pytest.Item):
    """One discriminator, or all files: fails where a problem of it fails; warnings are a section of the report."""

    failing: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()

    def about(self, outcome: CheckOutcome, discriminator: str) -> SpectralItem:
        """Itself, with what was found about a discriminator (about the files: the empty string)."""
        from spectral_doctor.report.problems import by_rule, group_sentence, title

        mine = [problem for problem in outcome.problems if problem.discriminator == discriminator]
        groups = [(group[0], f"{title(group[0])}: {group_sentence(group)}") for group in by_rule(mine)]
        self.failing = tuple(text for problem, text in groups if problem.fails)
        self.warned = tuple(text for problem, text in groups if not problem.fails)
        return self

    def runtest(self) -> None:
        """Fail with the sentences of what fails."""
        if self.warned:
            self.add_report_section("call", "spectral-doctor", "\n".join(self.warned))
        if self.failing:
            raise SpectralFailure("\n".join(self.failing))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        """The sentences alone: there is no code of the user's to show."""
        return str(excinfo.value)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it belongs in pytest's list."""
        return self.config.rootpath, None, f"spectral-doctor: {self.name}"


class SpectralFailure(AssertionError):
    """A discriminator that the gate does not let pass."""
