"""Changed files and models, a few hundred of each; tools/check/fuzz.py tries more, led by what code they reach."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.check import fuzz

FILES = sorted(p for p in fuzz.VECTORS.glob("*/small-*.vaec") if p.stat().st_size <= fuzz.LARGEST)
FOUND = sorted((Path(__file__).parents[1] / "data" / "fuzz").iterdir())
some = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def bytes_changed(rng: random.Random) -> fuzz.Mutate:
    """What atheris does in the tool: a byte here or there changed, put in or taken out."""

    def mutate(data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(changed) + 1)
            changed[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        return bytes(changed)

    return mutate


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long it takes is for the tool to say, on a machine that does nothing else."""
    monkeypatch.setattr(fuzz, "SECONDS", 60)


@some
@given(source=st.sampled_from(FILES), seed=st.integers(0, 2**32), times=st.integers(1, 3))
def test_files(source: Path, seed: int, times: int) -> None:
    rng, data = random.Random(seed), source.read_bytes()
    for _ in range(times):
        data = fuzz.mutate_file(data, rng, bytes_changed(rng))
    fuzz.check_file(data)


@some
@given(seed=st.integers(0, 2**32), times=st.integers(1, 3))
def test_models(seed: int, times: int) -> None:
    rng, data = random.Random(seed), (fuzz.VECTORS / "small.safetensors").read_bytes()
    for _ in range(times):
        data = fuzz.mutate_model(data, rng, bytes_changed(rng))
    fuzz.check_model(data)


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_what_was_found(path: Path) -> None:
    fuzz.check_file(path.read_bytes())


def test_the_checks_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    data = FILES[0].read_bytes()
    with monkeypatch.context() as hurried, pytest.raises(fuzz.Slow):
        hurried.setattr(fuzz, "SECONDS", -9)
        fuzz.check_file(data)
    monkeypatch.setattr("vaecodec.bitstream.container.parse", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fuzz.check_file(data)
