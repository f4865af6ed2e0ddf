"""The public API is a promise: names, signatures and types are those of a list, and a change of it is seen.

`python -m tests.test_public_api` writes the list anew, for a person to read what the promise has become.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import EnumMeta
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

import spectral_doctor

LIST = Path(__file__).parent / "public_api.txt"


def described(name: str) -> Iterator[str]:
    """The lines that a public name stands for: of a class its members, fields and methods, of a function its form."""
    public = getattr(spectral_doctor, name)
    if name == "__version__":
        yield "__version__: str"
    elif isinstance(public, EnumMeta):
        yield f"{name}: {', '.join(member.name for member in public)}"  # type: ignore[var-annotated]
    elif inspect.isclass(public):
        yield f"class {name}{signature(public)}"
        yield from (f"    {member}" for member in members(public))
    else:
        yield f"{name}{signature(public)}"


def members(public: type[Any]) -> Iterator[str]:
    """Fields, properties and methods without a leading underscore, but those of torch.nn.Module and the like."""
    if is_dataclass(public):
        yield from (f"{field.name}: {field.type}" for field in fields(public))
    for name, item in sorted(vars(public).items()):
        if name.startswith("_"):
            continue
        if isinstance(item, property | cached_property):
            getter = item.fget if isinstance(item, property) else item.func
            assert getter is not None
            yield f"{name} -> {inspect.signature(getter).return_annotation}"
        elif isinstance(item, classmethod | staticmethod):
            yield f"{name}{signature(item.__func__)}"
        elif inspect.isfunction(item):
            yield f"{name}{signature(item)}"


def signature(item: Any) -> str:
    """Its parameters as they are written, defaults without addresses."""
    try:
        return str(inspect.signature(item))
    except ValueError:
        return "(...)"


def rendered() -> str:
    """The whole list."""
    return "\n".join(line for name in spectral_doctor.__all__ for line in described(name)) + "\n"


def test_the_public_api_is_the_list() -> None:
    """Whoever changes it changes the list too, and says so in the changelog."""
    assert rendered() == LIST.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in spectral_doctor.__all__ if name != "__version__"])
def test_every_public_name_is_typed(name: str) -> None:
    """Parameters and results of functions and methods; a type checker sees them, for `py.typed` is shipped."""
    public = getattr(spectral_doctor, name)
    functions = [public] if inspect.isfunction(public) else []
    if inspect.isclass(public):
        functions = [item for key, item in vars(public).items() if inspect.isfunction(item) and not key.startswith("_")]
    for function in functions:
        form = inspect.signature(function)
        assert form.return_annotation is not inspect.Signature.empty, function
        untyped = [
            parameter.name
            for parameter in form.parameters.values()
            if parameter.annotation is inspect.Parameter.empty and parameter.name not in ("self", "cls")
        ]
        assert untyped == [], function
    assert (Path(spectral_doctor.__file__).parent / "py.typed").is_file()


if __name__ == "__main__":
    LIST.write_text(rendered(), encoding="utf-8")
