"""What a watched run looks like: plain lines, and in a terminal a table below them; or a JSON object a line."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console, Group
from rich.text import Text

from spectral_doctor.cli.live import Screen
from spectral_doctor.diagnosis.records import Diagnosis
from spectral_doctor.errors import printable
from spectral_doctor.gate.records import CheckOutcome, Key, Problem
from spectral_doctor.inspection import Inspection
from spectral_doctor.records import Failure
from spectral_doctor.report.findings import finding_lines
from spectral_doctor.report.problems import by_rule, group_sentence, title
from spectral_doctor.report.watching import StateKey, live_table, state_json, state_line, states


class View(Screen):
    """Prints every new state and every new finding once; a finding that went away and comes back is new again."""

    def __init__(
        self, folder: Path, console: Console | None = None, *, as_json: bool = False, quiet: bool = False
    ) -> None:
        self.folder, self.as_json, self.quiet = folder, as_json, quiet
        super().__init__(console, self._waiting())
        self.told: set[StateKey] = set()
        # The states that the last look found: of each the diagnosis and its place there.
        self.fresh: list[tuple[Diagnosis, int]] = []
        self.found: set[Key] = set()
        self.failures: set[Failure] = set()

    def take_over(self, inspection: Inspection) -> None:
        """Take the states that an earlier watch has told for told; its findings are told again."""
        self.told = {key for key, _, _ in states(inspection)}

    def show(self, outcome: CheckOutcome) -> list[tuple[Problem, ...]]:
        """Say what is new, and return the findings that are, those of one rule and discriminator together."""
        self.fresh = [(diagnosis, index) for key, diagnosis, index in states(outcome.inspection) if self._add(key)]
        for diagnosis, index in () if self.quiet else self.fresh:
            self._print(state_json(diagnosis, index) if self.as_json else state_line(diagnosis, index))
        new = [item for item in outcome.problems if self._is_new(item)]
        self.found = {item.key for item in outcome.problems}
        self.failures = set(outcome.inspection.failures)
        groups = by_rule(new)
        for line in finding_lines(new, outcome) if self.as_json else map(_words, groups):
            self._print(line)
        if outcome.inspection.diagnoses:
            self.live.update(Group(live_table(outcome.inspection), self._waiting()))
        return groups

    def _add(self, key: StateKey) -> bool:
        new = key not in self.told
        self.told.add(key)
        return new

    def _is_new(self, problem: Problem) -> bool:
        if problem.failure is not None:
            return problem.failure not in self.failures
        return problem.key not in self.found

    def _print(self, line: str) -> None:
        self.console.print(Text(line), soft_wrap=True)
        if not self.console.is_terminal:
            self.console.file.flush()

    def _waiting(self) -> Text:
        return Text(f"watching {printable(self.folder)}; Ctrl-C ends it", style="dim")


def _words(group: tuple[Problem, ...]) -> str:
    return f"{group[0].level.value}  {title(group[0])}: {group_sentence(group)}"
