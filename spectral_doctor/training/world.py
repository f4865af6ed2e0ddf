"""Several processes that train one GAN: who is who, shares of a batch, and sums over all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
import torch.distributed as distributed
from torch import Tensor, nn

from spectral_doctor.errors import UsageError, printable


@dataclass(frozen=True)
class World:
    """The processes of a run; alone, rank 0 of 1, and every method below then changes nothing.

    Every rank draws the same global batch from the same randomness and takes its own part, so the trajectory
    is that of one process within rounding. Batch norm sees the part only, and its statistics are rank 0's.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def leads(self) -> bool:
        """Whether this process writes and reports."""
        return self.rank == 0

    def part(self, batch: Tensor) -> Tensor:
        """This rank's equal part of a batch, on its device; raises `UsageError` where it does not divide."""
        if len(batch) % self.size:
            raise UsageError(f"a batch of {len(batch)} does not divide among {self.size} processes.")
        return batch.chunk(self.size)[self.rank].to(self.device)

    def average_gradients(self, module: nn.Module) -> None:
        """Replace every gradient by its mean over all ranks, in one message."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.size
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()

    def mean(self, values: Iterable[float]) -> list[float]:
        """The mean of each value over all ranks."""
        numbers = torch.tensor(list(values), dtype=torch.float64, device=self.device)
        if self.size > 1:
            distributed.all_reduce(numbers)
        return [float(number) for number in numbers / self.size]

    def wait(self) -> None:
        """Wait until all ranks have come this far."""
        self.any(0)

    def any(self, value: int) -> int:
        """The largest of all ranks' values: a signal that reached one has reached all."""
        if self.size == 1:
            return value
        number = torch.tensor(value, device=self.device)
        distributed.all_reduce(number, op=distributed.ReduceOp.MAX)
        return int(number)


@contextmanager
def joined_world(device: str = "auto") -> Iterator[World]:
    """Join the processes that torchrun started, or be alone where it did not.

    `device` is "cpu", "cuda" or "auto" (cuda where there is one); processes on GPUs talk by nccl and take the
    GPU of their local rank, others by gloo. Raises `UsageError` for a device there is not.
    """
    chosen = _device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield World(device=chosen)
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield World(distributed.get_rank(), distributed.get_world_size(), chosen)
        # A rank that leaves while another still talks to it takes the other down.
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def _device(name: str) -> torch.device:
    if name not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--device {printable(name)}: expected auto, cpu or cuda.")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch sees no GPU here; expected auto or cpu.")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
