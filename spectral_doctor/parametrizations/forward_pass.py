"""Compensation inside the forward pass, with the gradient of the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from spectral_doctor.compensation import Compensation, DynamicCompensation, StaticCompensation, envelope_of
from spectral_doctor.errors import CompensationError, UsageError
from spectral_doctor.records import Spectrum
from spectral_doctor.spectrum import singular_system

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class RaisedSpectrum(nn.Module):
    """W ↦ W_SR = (W + ΔW)/σ_1, ΔW = Σ_{k≥2} (floor_k·σ_1 − σ_k)₊ u_k v_kᵀ (arXiv 1908.10999, eqs. 5 to 9).

    `floor` is 1 for the first i values and 0 behind them (static), or the envelope γ (dynamic), which rises in
    training. The singular vectors are constants and σ_k = u_kᵀ W v_k carries the gradient, so nothing is
    differentiated through a decomposition, whose gradient is infinite where values are equal. Vectors are
    taken anew every `interval` training passes; in evaluation nothing changes.
    """

    envelope: Tensor
    left: Tensor
    right: Tensor
    passes: Tensor
    output_axis: Tensor

    def __init__(self, weight: Tensor, compensation: Compensation, interval: int = 1, axis: int = 0) -> None:
        super().__init__()
        if weight.ndim < 2 or weight.numel() == 0:
            raise CompensationError(f"a parameter of shape {tuple(weight.shape)} is no weight matrix")
        if interval < 1:
            raise CompensationError(f"an interval of {interval}: expected 1 or more training passes")
        self.interval, self.axis = interval, axis
        self.rising = isinstance(compensation, DynamicCompensation)
        matrix = self._matrix(weight.detach())
        left, _, right = self._decomposed(matrix)
        floor = torch.from_numpy(compensation.floor(min(matrix.shape)))
        self.register_buffer("envelope", floor.to(matrix.device))
        self.register_buffer("left", left)
        self.register_buffer("right", right)
        self.register_buffer("output_axis", torch.tensor(axis, device=matrix.device))
        self.register_buffer("passes", torch.zeros((), dtype=torch.long, device=matrix.device))

    def forward(self, weight: Tensor) -> Tensor:
        """Return W_SR in the shape and type of the weight."""
        with torch.autocast(weight.device.type, enabled=False):
            matrix = self._matrix(weight)
            if matrix.dtype in (torch.float16, torch.bfloat16):
                matrix = matrix.float()
            if self.training and torch.is_grad_enabled():
                self._advance(matrix.detach())
            regularized = self._regularized(matrix)
        return self._weight(regularized, weight.shape).to(weight.dtype)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """A weight that is assigned becomes the raw one."""
        return weight

    def _advance(self, matrix: Tensor) -> None:
        """Every `interval` passes: new vectors, and the envelope of a dynamic compensation raised by them."""
        if int(self.passes) % self.interval == 0:
            left, sigma, right = self._decomposed(matrix)
            self.left.copy_(left)
            self.right.copy_(right)
            if self.rising and float(sigma[0]) > 0:
                relative = Spectrum(tuple((sigma / sigma[0]).tolist()))
                best = envelope_of([relative, Spectrum(tuple(self.envelope.tolist()))])
                self.envelope.copy_(torch.tensor(best, dtype=torch.float64))
        self.passes += 1

    def _regularized(self, matrix: Tensor) -> Tensor:
        # Copies, for the next pass may renew the buffers before this one's backward has read them.
        left, right = self.left.to(matrix.dtype, copy=True), self.right.to(matrix.dtype, copy=True)
        sigma = (left.T @ matrix * right.T).sum(dim=1)
        missing = self.envelope.to(matrix.dtype, copy=True) * sigma[0] - sigma
        # A value at its best lies on the envelope; rounding must not decide whether it counts as raised.
        missing = torch.where(missing > 64 * torch.finfo(matrix.dtype).eps * sigma[0], missing, 0.0)
        keep = torch.ones_like(missing)
        keep[0] = 0.0
        return (matrix + (left * (missing * keep)) @ right.T) / sigma[0].clamp_min(torch.finfo(matrix.dtype).tiny)

    def _matrix(self, weight: Tensor) -> Tensor:
        return weight.movedim(self.axis, 0).flatten(1)

    def _weight(self, matrix: Tensor, shape: torch.Size) -> Tensor:
        moved = [shape[self.axis], *(size for axis, size in enumerate(shape) if axis != self.axis)]
        return matrix.reshape(moved).movedim(0, self.axis)

    def system(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """U (n_out, r), σ (r,) and V (n_in, r) of a weight as it is reshaped here."""
        return self._decomposed(self._matrix(weight.detach()))

    def _decomposed(self, matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        parts = singular_system(matrix)
        kind = matrix.dtype if matrix.dtype in (torch.float32, torch.float64) else torch.float32
        left, sigma, right = (torch.from_numpy(np.ascontiguousarray(part)).to(matrix.device) for part in parts)
        return left.to(kind), sigma, right.to(kind)


def spectral_regularization(
    module: nn.Module,
    name: str = "weight",
    compensation: Compensation | None = None,
    interval: int = 1,
) -> nn.Module:
    """Parametrise a layer's weight by its spectral regularisation; stands where torch's `spectral_norm` does.

    `compensation` is static with half of the values by default; a `DynamicCompensation` gives the envelope to
    start from. A spectral norm of torch's on that weight, old or new, is taken off first and its raw weight
    kept. A state dict that was saved under torch's spectral norm, old or new, or plain, can be loaded.

    Raises `CompensationError` where the module has no such weight, or the compensation does not fit it.
    """
    _take_off_spectral_norm(module, name)
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise CompensationError(f"{type(module).__name__} has no parameter '{name}'")
    axis = 1 if isinstance(module, _TRANSPOSED) else 0
    chosen = compensation if compensation is not None else StaticCompensation()
    parametrization = RaisedSpectrum(weight, chosen, interval, axis).train(module.training)
    # The parametrisation is registered without a forward pass, so that it has not moved before training does.
    parametrize.register_parametrization(module, name, parametrization, unsafe=True)
    module.register_load_state_dict_pre_hook(_Translation(name))  # type: ignore[no-untyped-call]
    return module


def remove_spectral_regularization(module: nn.Module, name: str = "weight") -> nn.Module:
    """Take the parametrisation off; the weight is then W_SR as it was last."""
    training = module.training
    module.eval()
    parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    return module.train(training)


class _Translation:
    """Lets a state dict saved under torch's spectral norm, or under nothing, be loaded."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
        base = f"{prefix}parametrizations.{self.name}"
        if not parametrize.is_parametrized(module, self.name) or f"{base}.0.envelope" in state:
            return
        for raw in (f"{prefix}{self.name}_orig", f"{prefix}{self.name}", f"{base}.original"):
            if raw in state:
                state[f"{base}.original"] = state.pop(raw)
                break
        for leftover in (f"{prefix}{self.name}_u", f"{prefix}{self.name}_v", f"{base}.0._u", f"{base}.0._v"):
            state.pop(leftover, None)
        state.pop(f"{prefix}{self.name}", None)
        regularization: Any = module.parametrizations[self.name][0]  # type: ignore[index]
        weight = state.get(f"{base}.original")
        if weight is not None:
            left, _, right = regularization.system(weight)
            state[f"{base}.0.left"], state[f"{base}.0.right"] = left, right
            state[f"{base}.0.envelope"] = regularization.envelope
            state[f"{base}.0.output_axis"] = regularization.output_axis
            state[f"{base}.0.passes"] = torch.zeros_like(regularization.passes)


def _take_off_spectral_norm(module: nn.Module, name: str) -> None:
    if hasattr(module, f"{name}_orig") and hasattr(module, f"{name}_u"):
        raw = getattr(module, f"{name}_orig")
        torch.nn.utils.remove_spectral_norm(module, name)
        # torch puts a new parameter in its place; an optimizer holds the old one.
        delattr(module, name)
        module.register_parameter(name, raw)
    elif parametrize.is_parametrized(module, name):
        chain = module.parametrizations[name]  # type: ignore[index]
        if len(chain) == 1 and type(chain[0]).__name__ == "_SpectralNorm":
            parametrize.remove_parametrizations(module, name, leave_parametrized=False)
        elif any(isinstance(item, RaisedSpectrum) for item in chain):
            raise CompensationError(f"'{name}' is spectrally regularised already")


class ForwardCompensation:
    """Spectral regularisation attached to every linear and convolutional layer of a discriminator, rank 2 and more.

    The arguments are those of `SpectralRegularizer`, and `interval` counts training passes. Envelope and
    vectors are buffers of the discriminator, so its own state dict carries them. Raises `UsageError` for a mode
    there is not, and `CompensationError`.
    """

    def __init__(
        self,
        discriminator: nn.Module,
        mode: str = "static",
        *,
        fraction: float = 0.5,
        interval: int = 1,
        envelope: Mapping[str, Sequence[float]] | None = None,
        rising: bool = True,
        exclude: Sequence[str] = (),
    ) -> None:
        if mode not in ("static", "dynamic"):
            raise UsageError("expected a mode of 'static', 'dynamic'.")
        self.settings = {"mode": mode, "fraction": fraction, "interval": interval, "rising": rising}
        self.layers: tuple[str, ...] = tuple(
            name for name, module in discriminator.named_modules() if _treatable(name, module, exclude)
        )
        for name in self.layers:
            module = discriminator.get_submodule(name)
            rank = min(_matrix_shape(module))
            chosen: Compensation = StaticCompensation(fraction)
            if mode == "dynamic":
                known = tuple((envelope or {}).get(name, ()))
                chosen = DynamicCompensation(known if len(known) == rank else (1.0,) + (0.0,) * (rank - 1))
            spectral_regularization(module, "weight", chosen, interval)
            module.parametrizations["weight"][0].rising = mode == "dynamic" and rising  # type: ignore[index, union-attr]

    def step(self) -> None:
        """Nothing: the forward pass does it."""

    def state_dict(self) -> dict[str, Any]:
        """The settings; everything that moves is in the discriminator."""
        return {"apply": "parametrization", **self.settings}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Check that a saved treatment is this one; raises `UsageError`."""
        for name, value in self.settings.items():
            if state.get(name) != value:
                raise UsageError(f"the treatment's {name} was {state.get(name)!r}, is {value!r}; resume with the same.")


def _treatable(name: str, module: nn.Module, exclude: Sequence[str]) -> bool:
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, *_TRANSPOSED)
    return (
        isinstance(module, kinds)
        and min(_matrix_shape(module)) > 1
        and not any(fnmatchcase(name, glob) for glob in exclude)
    )


def _matrix_shape(module: nn.Module) -> tuple[int, int]:
    weight: Tensor = module.weight_orig if hasattr(module, "weight_orig") else module.weight  # type: ignore[assignment]
    axis = 1 if isinstance(module, _TRANSPOSED) else 0
    return int(weight.shape[axis]), int(weight.numel() // weight.shape[axis])
