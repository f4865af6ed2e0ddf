"""`spectral-doctor rule`: what a code means and what to do."""

from __future__ import annotations

from typing import Annotated

import typer

from spectral_doctor.cli.boundary import speaking_plainly
from spectral_doctor.gate.rules import RULES, rule_named


def rule(
    codes: Annotated[list[str] | None, typer.Argument(metavar="[CODE]...", help="Codes such as SD101.")] = None,
) -> None:
    """Explain the rules of `check` by their codes; without a code, list them."""
    with speaking_plainly():
        if not codes:
            for item in RULES.values():
                typer.echo(f"{item.code}  {item.level.value:4}  {item.title}")
            return
        for item in [rule_named(code) for code in codes]:
            typer.echo(f"{item.code} {item.title} (level {item.level.value})\n")
            typer.echo(f"{item.explanation}\n\nWhat to do: {item.remedy}\n")
