"""`spectral-doctor rule`: what a code means and what to do."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from spectral_doctor.cli.boundary import speaking_plainly
from spectral_doctor.cli.options import ReportFormat, Reporting
from spectral_doctor.errors import UsageError
from spectral_doctor.gate.rules import RULES, Rule, rule_named


def rule(
    codes: Annotated[list[str] | None, typer.Argument(metavar="[CODE]...", help="Codes such as SD101.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Explain every rule.")] = False,
    report_format: Reporting = ReportFormat.TEXT,
) -> None:
    """Explain the rules of `check` by their codes; without a code, list them."""
    with speaking_plainly():
        if every and codes:
            raise UsageError("--all: explains every rule; name no code beside it.")
        chosen = [rule_named(code) for code in codes or ()] or list(RULES.values())
        if report_format is ReportFormat.JSON:
            typer.echo(json.dumps([_document(item) for item in chosen], indent=1))
        elif codes or every:
            for item in chosen:
                typer.echo(f"{item.code} {item.title} (level {item.level.value})\n")
                typer.echo(f"{item.explanation}\n\nWhat to do: {item.remedy}\n")
        else:
            for item in chosen:
                typer.echo(f"{item.code}  {item.level.value:4}  {item.title}")


def _document(item: Rule) -> dict[str, str | bool]:
    return {
        "code": item.code,
        "title": item.title,
        "level": item.level.value,
        "per_layer": item.per_layer,
        "explanation": item.explanation,
        "remedy": item.remedy,
    }
