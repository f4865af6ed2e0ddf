"""Values of a record changed by texts, as `--set KEY=VALUE` and `--veegan KEY=VALUE` give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, TypeVar

from spectral_doctor.errors import UsageError, listed, printable

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    RecordT = TypeVar("RecordT", bound=DataclassInstance)


def changed_by(record: RecordT, assignments: Mapping[str, str], *, option: str, noun: str) -> RecordT:
    """A copy of a record with some values changed, each text read as the type of the value it replaces.

    `option` is what the user typed and `noun` what its keys are called. Raises `UsageError` for a key there is not,
    or a value of another type.
    """
    types = {field.name: type(getattr(record, field.name)) for field in fields(record)}
    values: dict[str, object] = {}
    for key, text in assignments.items():
        if key not in types:
            there = listed(sorted(types), len(types))
            raise UsageError(f"{option} {printable(key)}: no such {noun}; there are {there}.")
        try:
            values[key] = _parsed(text, types[key])
        except ValueError as error:
            kind = types[key].__name__
            raise UsageError(f"{option} {key}={printable(text)}: expected a value of type {kind}.") from error
    return replace(record, **values)


def _parsed(text: str, kind: type) -> object:
    if kind is bool:
        if text.lower() not in ("true", "false", "1", "0", "yes", "no"):
            raise ValueError(text)
        return text.lower() in ("true", "1", "yes")
    return kind(text)
