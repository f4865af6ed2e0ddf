"""The forward form under torch's DistributedDataParallel: two ranks on halves of a batch are one on the whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from spectral_doctor.compensation import DynamicCompensation
from spectral_doctor.parametrizations import spectral_regularization

STEPS = 4


def network() -> nn.Module:
    """A convolution and a linear layer, both regularised towards a full spectrum."""
    torch.manual_seed(0)
    parts = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 4, 4), nn.ReLU(), nn.Linear(4, 1)
    ).double()
    spectral_regularization(parts[0], compensation=DynamicCompensation((1.0,) * 3 + (0.5,) * 3))
    spectral_regularization(parts[3], compensation=DynamicCompensation((1.0, 0.9, 0.8, 0.7)))
    return parts


def trained(model: nn.Module, rank: int, size: int) -> None:
    """Some steps of gradient descent on this rank's part of each batch."""
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    random = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        batch = torch.randn(8, 3, 4, 4, generator=random, dtype=torch.float64).chunk(size)[rank]
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()


def rank_of_two() -> None:
    """What each process does; the first writes its state."""
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    model = network()
    trained(nn.parallel.DistributedDataParallel(model), rank, 2)
    if rank == 0:
        torch.save(model.state_dict(), folder / "state.pt")
    torch.distributed.barrier()
    # gloo's threads may outlive the interpreter's end and abort it.
    os._exit(0)


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_two_ranks_are_one(tmp_path: Path) -> None:
    """Weights, envelopes and vectors, within rounding; and the steps have moved them."""
    command = [sys.executable, "-m", "tests.parametrizations.test_distributed"]
    ranks = [subprocess.Popen([*command, str(rank), str(tmp_path)]) for rank in (0, 1)]
    assert [rank.wait(120) for rank in ranks] == [0, 0]
    alone, before = network(), network().state_dict()
    trained(alone, 0, 1)
    together = torch.load(tmp_path / "state.pt", weights_only=True)
    for name, value in alone.state_dict().items():
        tolerance = 50 * torch.finfo(torch.float64).eps
        assert torch.allclose(together[name].double(), value.double(), rtol=tolerance, atol=tolerance), name
    assert not torch.equal(before["0.parametrizations.weight.original"], together["0.parametrizations.weight.original"])


if __name__ == "__main__":
    rank_of_two()
