"""The GAN loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from spectral_doctor.gan.networks import evaluating, parameters_are_finite
from spectral_doctor.signals import received_signals
from spectral_doctor.training.folder import RunFolder, drop_old, write_state
from spectral_doctor.training.randomness import untouched_randomness
from spectral_doctor.training.records import Saved, Snapshot, StepLosses, TrainingOutcome
from spectral_doctor.training.state import TrainingState, is_finite
from spectral_doctor.training.world import World

PREVIEW = 256


def update(state: TrainingState, world: World) -> StepLosses:
    """Make one step, the method's or a plain GAN's, and move the generator's average."""
    _set_rates(state)
    losses = state.method.step(state, world) if state.method is not None else plain_step(state, world)
    state.step += 1
    _average(state)
    return losses


def plain_step(state: TrainingState, world: World) -> StepLosses:
    """The step of a GAN without a method: `n_dis` updates of the discriminator, one of the generator."""
    recipe, settings, random = state.recipe, state.recipe.settings, state.random
    for _ in range(settings.n_dis):
        with torch.no_grad():
            fake = state.generator(world.part(recipe.latent(settings.batch_size, random)))
        real = world.part(recipe.real(settings.batch_size, random))
        discriminator_loss = recipe.discriminator_loss(state.discriminator, real, fake, random)
        state.discriminator_optimizer.zero_grad()
        discriminator_loss.backward()  # type: ignore[no-untyped-call]
        world.average_gradients(state.discriminator)
        state.discriminator_optimizer.step()
        if state.treatment is not None:
            state.treatment.step()
    fake = state.generator(world.part(recipe.latent(settings.batch_size, random)))
    generator_loss = recipe.generator_loss(state.discriminator, fake)
    state.generator_optimizer.zero_grad()
    generator_loss.backward()  # type: ignore[no-untyped-call]
    world.average_gradients(state.generator)
    state.generator_optimizer.step()
    return StepLosses(*world.mean((discriminator_loss.item(), generator_loss.item())))


def train(
    state: TrainingState,
    folder: RunFolder,
    on_save: Callable[[Saved], None] = lambda saved: None,
    on_step: Callable[[int, StepLosses], None] = lambda step, losses: None,
    world: World | None = None,
    *,
    save_first: bool = False,
    until: int | None = None,
) -> TrainingOutcome:
    """Train until the settings' last step, or `until` an earlier one, saving every `save_every` steps, the first too.

    A state that is not at step 0 counts as saved already, unless `save_first` says that it is not.

    SIGINT and SIGTERM end the run after the step under way, with its state saved. Losses or weights that are
    not finite end it without saving, so that the last checkpoint stays a good one. Raises `OSError` where a
    checkpoint cannot be written; what was saved before stays. In a `world` of several processes rank 0 writes,
    and a signal to one of them ends all.
    """
    settings, world = state.recipe.settings, world or World()
    end = settings.steps if until is None else min(until, settings.steps)
    last = folder.checkpoint(state.step)
    if state.step == 0 or save_first:
        last = _save(state, folder, None, on_save, world)
    elif world.leads:
        drop_old(folder)
    with received_signals() as received:
        while state.step < end:
            losses = update(state, world)
            on_step(state.step, losses)
            stop = world.any(received.signal)
            if not is_finite(losses.discriminator, losses.generator):
                return TrainingOutcome(state.step, last, fault="a loss is not finite")
            if state.step % settings.save_every == 0 or state.step == end or stop:
                if not (parameters_are_finite(state.generator) and parameters_are_finite(state.discriminator)):
                    return TrainingOutcome(state.step, last, fault="weights are not finite")
                last = _save(state, folder, losses, on_save, world)
            if stop:
                return TrainingOutcome(state.step, last, signal=stop)
    return TrainingOutcome(state.step, last)


def snapshot(state: TrainingState) -> Snapshot:
    """Measure a run where it stands, without touching it: scores, samples, and every layer's spectrum."""
    real, fake = preview(state)
    with untouched_randomness(), evaluating(state.discriminator), torch.no_grad():
        score_real, score_fake = (float(state.discriminator(samples).mean()) for samples in (real, fake))
    layers = state.monitor.observe(state.step)
    return Snapshot(score_real, score_fake, real.cpu().numpy(), fake.cpu().numpy(), layers)


def preview(state: TrainingState) -> tuple[Tensor, Tensor]:
    """Some of the data, and the generator's samples of some latents: the same ones at every step, touching nothing."""
    random = torch.Generator().manual_seed(0)
    with untouched_randomness(), evaluating(state.generator), torch.no_grad():
        device = next(state.generator.parameters()).device
        real = state.recipe.real(PREVIEW, random).to(device)
        fake = state.generator(state.recipe.latent(PREVIEW, random).to(device))
    return real, fake


def _save(
    state: TrainingState, folder: RunFolder, losses: StepLosses | None, on_save: Callable[[Saved], None], world: World
) -> Path:
    if not world.leads:
        return folder.checkpoint(state.step)
    with untouched_randomness():
        evaluation = state.recipe.evaluate(state.average or state.generator)
    measured = snapshot(state)
    path = write_state(folder, state.step, state.content(evaluation))
    on_save(Saved(state.step, path, evaluation, losses, measured))
    return path


def _set_rates(state: TrainingState) -> None:
    """Set all optimizers' rates to what the pace, or the settings' schedule, has for this step; else touch none."""
    settings, sides = state.recipe.settings, state.optimizers()
    if state.pace is not None:
        state.pace.set(state.step, *sides)
        return
    if not (settings.decay or settings.restart_at):
        return
    for optimizers, factor in zip(sides, settings.rate_factors(state.step), strict=True):
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor


@torch.no_grad()
def _average(state: TrainingState) -> None:
    """Move the generator's average: parameters by the settings' decay, buffers copied."""
    if state.average is None:
        return
    for mean, value in zip(state.average.parameters(), state.generator.parameters(), strict=True):
        mean.lerp_(value, 1 - state.recipe.settings.ema)
    for kept, current in zip(state.average.buffers(), state.generator.buffers(), strict=True):
        kept.copy_(current)
