"""A checkpoint of a run in training, in words and rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spectral_doctor.diagnosis.records import Thresholds

if TYPE_CHECKING:
    from spectral_doctor.training.records import Saved


def checkpoint_line(saved: Saved) -> str:
    """One line: step, modes and KL with its floor, quality, solid modes, losses, mean logits on real and fake."""
    parts = []
    if saved.evaluation is not None:
        measured = saved.evaluation
        parts.append(f"{measured.modes_captured} of {measured.modes} modes")
        parts.append(f"KL to uniform {measured.kl:.3f} (floor {measured.kl_floor:.4f} at {measured.samples} samples)")
        if measured.high_quality_fraction is not None:
            parts.append(f"high quality {measured.high_quality_fraction:.1%}")
        if measured.solid_modes is not None:
            parts.append(f"solid modes {measured.solid_modes}")
    if saved.losses is not None:
        parts.append(f"loss D {saved.losses.discriminator:.3f} G {saved.losses.generator:.3f}")
    parts.append(f"D(real) {saved.snapshot.score_real:.2f} D(fake) {saved.snapshot.score_fake:.2f}")
    return f"step {saved.step}: {', '.join(parts)}"


def layer_rows(saved: Saved) -> list[tuple[str, float | None, float | None]]:
    """Every layer's name, σ_1 and plateau σ_k/σ_1; None where its weight is not finite."""
    rows: list[tuple[str, float | None, float | None]] = []
    for layer in saved.snapshot.layers:
        spectrum = layer.spectrum
        if spectrum is None:
            rows.append((layer.identity.name, None, None))
        else:
            plateau = spectrum.ratio(Thresholds().plateau_index(layer.identity.rank))
            rows.append((layer.identity.name, spectrum.sigma_max, plateau))
    return rows
