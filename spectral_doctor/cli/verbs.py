"""The verbs, each imported when it is called for: `inspect` waits for no other verb's imports and options."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

if TYPE_CHECKING:
    Commands = MutableMapping[str, Any]
else:
    Commands = MutableMapping

# A verb, and the file that its function of the same name stands in; in the order in which --help lists them.
_HOMES = {
    "inspect": "inspect",
    "check": "check",
    "rule": "rule",
    "watch": "watch",
    "cache": "cache",
    "merge": "merge",
    "reference": "reference",
    "fix": "fix",
    "train": "train",
    "recipes": "train",
    "reproduce": "reproduce",
}


class Verbs(TyperGroup):
    """The group of all verbs."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _OnDemand()

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, without importing any."""
        return list(_HOMES)


class _OnDemand(Commands):
    """Commands by name, made when they are asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            single.command(name)(getattr(import_module(f"spectral_doctor.cli.{_HOMES[name]}"), name))
            self._made[name] = get_command(single)
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_HOMES)

    def __len__(self) -> int:
        return len(_HOMES)
