"""The state that a treated run, or its control, goes on from: a checkpoint taken over, a prescription attached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from spectral_doctor.checkpoints.training_state import read_state
from spectral_doctor.errors import UsageError, printable
from spectral_doctor.gan.own import recipe_named
from spectral_doctor.gan.recipes import Recipe
from spectral_doctor.training.adoption import adopt, adopt_generator, take_generator
from spectral_doctor.training.folder import saved_states
from spectral_doctor.training.restart import Restart
from spectral_doctor.training.reviving import revive
from spectral_doctor.training.state import TrainingState, load_state
from spectral_doctor.training.veegan import Veegan
from spectral_doctor.treatment.rates import pace_of
from spectral_doctor.treatment.records import Prescription, Resume, ResumePlan
from spectral_doctor.treatment.resuming import attach

# A unit that none of so many latents makes fire is taken for dead.
_LATENTS = 2048
_SHAPES_A_FRESH_ONE = ("discriminator_channels", "spectral_norm", "network", "pack")
# Methods that a treatment brought; the relativistic loss is a recipe's own.
_METHODS = {"veegan": "VEEGAN", "restart": "a restart"}


def begun(
    wish: Resume, plan: ResumePlan, prescription: Prescription, folder: Path, device: str = "cpu"
) -> tuple[ResumePlan, TrainingState, Path | None]:
    """The state that a run in `folder` goes on from, the plan with what is missing, and its last checkpoint there.

    Where the folder has none yet, it is the checkpoint of the plan with the prescription attached, else the folder's
    last, to the bit. Raises `UsageError` where the recipe is not known, or the checkpoint was treated otherwise.
    """
    plan, state = _fresh(wish, plan, prescription, device)
    earlier = saved_states(folder)
    if earlier:
        load_state(state, earlier[-1])
    return plan, state, earlier[-1] if earlier else None


def recipe_of(wish: Resume, plan: ResumePlan, prescription: Prescription) -> tuple[Recipe, str]:
    """The recipe that a run is resumed by, and its name: the checkpoint's own, or the one that was named.

    Its last step is the treatment's. A restart's discriminator has no spectral norm unless a setting asks for it.
    """
    name = wish.recipe or plan.recipe
    if not name:
        raise UsageError(
            f"{printable(plan.start)} does not say how it was trained: name the recipe with --recipe, a name that "
            "`recipes` lists or your own file.py:attribute; or treat the weights alone with --weights-only."
        )
    content = _content(plan)
    saved = {} if content is None or wish.recipe else content["settings"]
    given = {key: str(value) for key, value in saved.items() if key != "steps"}
    if prescription.restart is not None:
        given["spectral_norm"] = "False"
    asked = assigned_texts(wish.assignments)
    fresh_elsewhere = wish.beside_a_restart or wish.prescription.restart is not None
    if content is not None and fresh_elsewhere and prescription.restart is None:
        # What runs beside a restart keeps the discriminator that the run had.
        asked = {key: value for key, value in asked.items() if key not in _SHAPES_A_FRESH_ONE}
    return recipe_named(name, {**given, **asked, "steps": str(plan.step + wish.steps)}), name


def assigned_texts(texts: Sequence[str]) -> dict[str, str]:
    """`KEY=VALUE` texts as a dict; raises `UsageError` for one without the sign."""
    pairs = [text.partition("=") for text in texts]
    for key, sign, _ in pairs:
        if not sign:
            raise UsageError(f"--set {printable(key)}: expected KEY=VALUE.")
    return {key: value for key, _, value in pairs}


def _fresh(wish: Resume, plan: ResumePlan, prescription: Prescription, device: str) -> tuple[ResumePlan, TrainingState]:
    content = _content(plan)
    kind = _METHODS.get(((content or {}).get("method") or {}).get("mode", ""))
    if kind is not None:
        raise UsageError(
            f"{printable(plan.start)}: a run with {kind} already; go on with it by --resume, or take "
            f"{kind.removeprefix('a ')} off with `fix --detach` first."
        )
    recipe, name = recipe_of(wish, plan, prescription)
    state = TrainingState.fresh(recipe, 0 if content is None else int(content["seed"]), device, name)
    missing: tuple[str, ...] = ()
    if prescription.restart is not None:
        missing = _keep_generator(state, plan, content)
    elif content is None:
        missing = adopt(state, plan.start, plan.step, wish.discriminator)
    else:
        state.restore(content, plan.start)
    revived = _revived(state) if prescription.revive else 0
    _attach(state, prescription, plan, recipe.settings.steps)
    return replace(plan, warnings=missing, revived=revived), state


def _revived(state: TrainingState) -> int:
    device = next(state.generator.parameters()).device
    latents = state.recipe.latent(_LATENTS, torch.Generator().manual_seed(state.seed)).to(device)
    random = torch.Generator().manual_seed(state.seed + 1)
    return revive(state.generator, latents, state.generator_optimizer, random)


def _keep_generator(state: TrainingState, plan: ResumePlan, content: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Give a fresh state the generator alone; its discriminator stays the one that was just built."""
    if content is None:
        return adopt_generator(state, plan.start, plan.step)
    take_generator(state, content, plan.start)
    return ()


def _attach(state: TrainingState, prescription: Prescription, plan: ResumePlan, last: int) -> None:
    if prescription.dose is not None:
        attach(state, prescription.dose, plan.envelope)
    if prescription.veegan is not None:
        state.method = Veegan(state, prescription.veegan)
    if prescription.restart is not None:
        state.method = Restart(state, prescription.restart, last - plan.step)
    state.pace = pace_of(prescription.regimen, state, plan.step, last)


def _content(plan: ResumePlan) -> dict[str, Any] | None:
    return read_state(plan.start) if plan.recipe else None
