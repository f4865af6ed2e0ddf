"""One path taken apart: which of its numbers may be a step, and what is left without them."""

from __future__ import annotations

from pathlib import Path

import pytest

from spectral_doctor.checkpoints.names import Standing, read_path, run_name
from spectral_doctor.records import RemotePath


@pytest.mark.parametrize(
    ("path", "numbers", "run"),
    [
        ("netD_90000_steps.pth", [(90000, "step")], "netD"),
        ("model=D-best-weights-step=2000.pth", [(2000, "step")], "model=D_weights"),
        ("network-snapshot-000200.pt", [(200, "kimg")], "network-snapshot"),
        ("network-snapshot-000010240.pkl", [(10240, "kimg")], "network-snapshot"),
        ("000500.pt", [(500, "")], ""),
        ("10_net_D_A.pth", [(10, "")], "net_D_A"),
        ("netD_epoch_3.pth", [(3, "epoch")], "netD"),
        ("netD_ep10.pth", [(10, "epoch")], "netD"),
        ("name_e10_s1000.pth", [(10, "epoch"), (1000, "step")], "name"),
        ("epoch=3-step=4000.ckpt", [(3, "epoch"), (4000, "step")], ""),
        ("epoch=3-step=4000-v1.ckpt", [(3, "epoch"), (4000, "step")], ""),
        ("epoch_00010_iteration_000000020_checkpoint.pt", [(10, "epoch"), (20, "step")], "checkpoint"),
        ("checkpoint-12000steps.pkl", [(12000, "step")], "checkpoint"),
        ("do_00500000", [(500000, "")], "do"),
        ("SNResNetProjectionDiscriminator_1000.npz", [(1000, "")], "SNResNetProjectionDiscriminator"),
        ("net_d_left_eye_5000.pth", [(5000, "")], "net_d_left_eye"),
        ("D_5k.pth", [(5000, "")], "D"),
        ("D_2M.pth", [(2000000, "")], "D"),
        ("200kimg.pt", [(200, "kimg")], ""),
        ("vae.1000.pt", [(1000, "")], "vae"),
        ("netD10.pth", [(10, "")], "netD"),
        ("ckpt10.pt", [(10, "")], "ckpt"),
        ("D_0.1M.pth", [(100000, "")], "D"),
        ("D_2.5k.pth", [(2500, "")], "D"),
        ("D.10000", [(10000, "")], "D"),
        ("D (1).pth", [], "D"),
        ("weights.10-0.35.h5", [(10, "")], "weights"),
        ("D_round_10.pth", [(10, "")], "D_round"),
        ("model.ckpt-10000.index", [(10000, "")], "model.ckpt"),
        ("global_step1000/mp_rank_00_model_states.pt", [(1000, "step")], "*/mp_rank_00_model_states"),
        ("netD_fid12.3_epoch_4.pth", [(4, "epoch")], "netD"),
        ("v_epoch=1_step=1000_val_loss=3.1.ckpt", [(1, "epoch"), (1000, "step")], "v"),
    ],
)
def test_numbers_that_may_be_steps(path: str, numbers: list[tuple[int, str]], run: str) -> None:
    """The number, the unit where the name says it, and the name without it."""
    reading = read_path(Path(path))
    assert [(number.value, number.unit) for number in reading.numbers] == numbers
    assert reading.run == run
    assert run_name(Path(path)) == run.rpartition("/")[2]


@pytest.mark.parametrize(
    "path",
    [
        "netD_best.pth",
        "D_best3.pth",
        "D_copy1.pth",
        "D_2333333.pth",
        "discriminator_at_24fae3c0.pt",
        "f0D40k.pth",
        "fold_1/netD.pth",
        "seed=3/netD.pth",
        "run12/D.pth",
        "kfold3/D.pth",
        "netD_sub10.pth",
        "exp-4/D.pth",
        "version_0/D.pth",
        "bgan32/discriminator.pt",
        "netD_128x128.pth",
        "netD_x4.pth",
        "netD_4x.pth",
        "netD_lr1e-4.pth",
        "netD_lr0.0002.pth",
        "netD_bs64.pth",
        "3d_model.pt",
        "2024-05-01/D.pth",
        "20251212_162516/D.pth",
        "D_v2.pth",
        "val_loss=3.1.ckpt",
        "D_acc_93.pth",
        f"step_{'9' * 5000}.pth",
        f"D_{'9' * 19}.pth",
    ],
)
def test_numbers_that_never_are_a_step(path: str) -> None:
    """Folds, sizes, rates, dates above a file, scores, hashes, copies, and what is beyond any run."""
    assert read_path(Path(path)).numbers == ()


@pytest.mark.parametrize(
    ("path", "standing", "value"),
    [
        ("checkpoint-500/discriminator/model.safetensors", Standing.FOLDER, 500),
        ("100k/discriminator/weights.pth", Standing.FOLDER, 100_000),
        ("epoch_3/D.pth", Standing.SAID, 3),
        ("course_201910/D.pth", Standing.LOOSE, 201910),
        ("save/CKPT+2024-05-01+10-20-30+00/D.ckpt", Standing.TIME, 20240501102030),
        ("D_20240501_102030.pth", Standing.TIME, 20240501102030),
    ],
)
def test_folders_and_times(path: str, standing: Standing, value: int) -> None:
    """A number in a folder's name is told from one in the file's, and a time from a count."""
    (number,) = read_path(Path(path)).numbers
    assert (number.standing, number.value) == (standing, value)


@pytest.mark.parametrize(
    ("path", "word", "run"),
    [
        ("netD_final.pth", "final", "netD"),
        ("latest_net_D.pth", "latest", "net_D"),
        ("last.ckpt", "last", ""),
        ("D_2333333.pth", "latest", "D"),
        ("netD_best.pth", "best", "netD"),
        ("netD_epoch_last.pth", "last", "netD"),
        ("epoch_final.pth", "final", ""),
        ("netD-end.pth", "end", "netD"),
        ("step_latest/D.pth", "latest", "*/D"),
        ("legend.pth", "", "legend"),
        ("netD_best_final.pth", "best", "netD"),
        ("checkpoint-final/D.pth", "final", "checkpoint*/D"),
        ("latest/discriminator/D.pth", "latest", "*/discriminator/D"),
        ("final_run/D.pth", "", "final_run/D"),
        ("finalists_1.pth", "", "finalists"),
    ],
)
def test_words_in_place_of_a_number(path: str, word: str, run: str) -> None:
    """A word of its own, in a name or as a whole folder, and not inside another word."""
    reading = read_path(Path(path))
    assert (reading.word, reading.run) == (word, run)


def test_remote_paths_are_read_alike() -> None:
    """A URL is a path."""
    reading = read_path(RemotePath("s3://bucket/run/netD_10.pth"))
    assert [number.value for number in reading.numbers] == [10]
