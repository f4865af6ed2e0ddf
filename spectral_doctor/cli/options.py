"""Options that several verbs have, said once."""

from __future__ import annotations

from typing import Annotated

import typer

DiscriminatorKey = Annotated[
    str | None,
    typer.Option("--discriminator", metavar="KEY", help="The key that holds the discriminator, e.g. 'state_dict.D'."),
]
StepPattern = Annotated[
    str | None,
    typer.Option("--step", metavar="REGEX", help="Where the step stands in a path: its first group, as in D_([0-9]+)."),
]
ExcludedLayers = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="GLOB", help="Leave out layers whose name matches; may be repeated."),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the recipe; may be repeated."),
]
RecipeName = Annotated[
    str | None, typer.Option("--recipe", help="What trained it, where the checkpoint does not tell.")
]
VeeganSettings = Annotated[
    list[str] | None, typer.Option("--veegan", metavar="KEY=VALUE", help="weight, warm_up, ramp, head, variant.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
