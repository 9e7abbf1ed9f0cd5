"""Training in several processes: the same as in one, whatever their number, and from one checkpoint."""

from __future__ import annotations

import csv
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.sample_pictures import picture
from tools.train.data import Crops
from tools.train.loss import uniform_noise
from tools.train.ranks import ALONE, Ranks, needs_one, together
from vaecodec.model.architecture import Config
from vaecodec.model.networks import Model

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "C=16,M=48,N=8,D=16,low=8,blocks_a=1,blocks_s=1,blocks_c=1"
OPTIONS = ["--config", CONFIG, "--size", "64", "--interval", "1", "--device", "cpu", "--lr", "4e-3", "--structure", "0"]
TRAIN = ["-m", "tools.train.train"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *TRAIN]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three pictures to train on."""
    folder = tmp_path_factory.mktemp("pictures")
    for n, (height, width) in enumerate([(128, 128), (160, 200), (96, 140)]):
        Image.fromarray(picture(height, width, 3)).save(folder / f"{n}.png")
    return folder


def start(command: list[str], *args: str | Path, **variables: str) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | variables
    return subprocess.Popen(
        [sys.executable, *command, *map(str, args), *OPTIONS],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """Exit status and errors of each; none is left when they wait for each other for ever."""
    try:
        errors = [process.communicate(timeout=200)[1] for process in processes]
    finally:
        for process in processes:
            process.terminate()
    return [(process.returncode, text) for process, text in zip(processes, errors, strict=True)]


def train(command: list[str], pictures: Path, out: Path, *args: str) -> tuple[dict, list[list[float]]]:
    """The checkpoint and the log (step, loss, bpp, PSNR) of a training of four crops a step, called once (again)."""
    status, said = ended([start(command, pictures, out, "--batch", "4", *args)])[0]
    assert status == 0, said
    with (out / "log.csv").open(newline="") as handle:
        rows = [[float(row[name]) for name in ("step", "loss", "bpp", "psnr")] for row in csv.DictReader(handle)]
    return torch.load(out / "checkpoint.pt", weights_only=True), rows


def momenta(checkpoint: dict) -> torch.Tensor:
    """What the optimisers keep of the gradients, as one vector: of Adam, then of Muon."""
    states = [state for optimiser in checkpoint["optimisers"] for state in optimiser["state"].values()]
    return torch.cat([(s["exp_avg"] if "exp_avg" in s else s["momentum"]).flatten() for s in states])


def test_two_processes_train_as_one(pictures: Path, tmp_path: Path) -> None:
    """Through the last part of the schedule, and then on for longer with the other number of processes."""
    saved, logs = zip(
        *(train(how, pictures, tmp_path / str(n), "--steps", "7") for n, how in enumerate([TRAIN, TORCHRUN])),
        strict=True,
    )
    assert logs[1] == pytest.approx(np.array(logs[0]), rel=1e-5, abs=2e-4)
    one, two = map(momenta, saved)
    assert (one - two).norm() < 0.02 * one.norm()
    assert saved[1].keys() == saved[0].keys() and saved[1]["settled"]
    assert saved[1]["norms"] == pytest.approx(saved[0]["norms"], rel=0.02)
    assert torch.equal(saved[1]["rng"], saved[0]["rng"])

    shutil.copytree(tmp_path / "1", tmp_path / "2")
    _, longer = train(TRAIN, pictures, tmp_path / "1", "--steps", "12")
    _, other = train(TORCHRUN, pictures, tmp_path / "2", "--steps", "12")
    assert [row[0] for row in longer] == list(range(1, 13))
    assert longer == pytest.approx(np.array(other), rel=1e-5, abs=2e-4)


def two_machines(tmp_path: Path, pictures: list[Path], options: list[list[str]]) -> list[tuple[int, str]]:
    """Exit status and errors of two processes that share no folder, as torchrun starts them on two machines."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    meet = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return ended([start(TRAIN, pictures[n], tmp_path / str(n), *options[n], RANK=str(n), **meet) for n in range(2)])


def test_the_first_one_writes_and_stops(pictures: Path, tmp_path: Path) -> None:
    """By its clock; what it wrote is enough to go on from."""
    copy = shutil.copytree(pictures, tmp_path / "copy")
    steps = []
    for _ in range(2):
        options = ["--minutes", "60", "--stop-after", "0.03", "--batch", "2"]
        found = two_machines(tmp_path, [pictures, copy], [options, options])
        assert [status for status, _ in found] == [0, 0], found
        steps.append(torch.load(tmp_path / "0" / "checkpoint.pt", weights_only=True)["step"])
    assert 0 < steps[0] < steps[1]
    assert not (tmp_path / "1").exists()

    (tmp_path / "0").rename(tmp_path / "1")  # as if the machines had changed places
    found = two_machines(tmp_path, [pictures, copy], [options, options])
    assert [status for status, _ in found] == [1, 1], found
    assert all(text.startswith("process 1 has a checkpoint, but process 0 has none") for _, text in found), found


def test_different_pictures(pictures: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(pictures, tmp_path / "copy")
    Image.fromarray(picture(128, 128, 3)[::-1]).save(copy / "0.png")
    found = two_machines(tmp_path, [pictures, copy], [["--batch", "2"]] * 2)
    assert all(status == 1 for status, _ in found), found
    assert all(text.strip() == "process 1 has other pictures than process 0" for _, text in found), found


def test_shares_are_those_of_the_whole_batch(pictures: Path) -> None:
    model = Model(Config(C=4, M=8, N=2, D=4, low=4))
    found = []
    for ranks in (ALONE, Ranks(0, 3), Ranks(1, 3), Ranks(2, 3)):
        torch.manual_seed(5)
        x = Crops(pictures, 64, seed=5).batch(6, ranks)
        assert len(x) == 6 // ranks.size
        found.append((x, *uniform_noise(model, x, ranks)))
    for whole, *shares in zip(*found, strict=True):
        assert torch.equal(torch.cat(shares), whole)


@pytest.mark.parametrize(
    ("device", "batch", "sentence"),
    [
        ("cpu", 5, "--batch 5: 2 processes need a multiple of 2"),
        ("cuda:1", 4, "--device cuda:1: several processes need cpu, or cuda, where each takes a GPU of its own"),
    ],
)
def test_what_cannot_be_shared(monkeypatch: pytest.MonkeyPatch, device: str, batch: int, sentence: str) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit, match=f"^{sentence}$"), together(device, batch):
        pass


def test_other_tools_run_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    needs_one("tools.train.screening")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit, match="one process"):
        needs_one("tools.train.screening")
