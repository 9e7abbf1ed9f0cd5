"""`vaecodec bench` as its users call it."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.bench.test_codecs import DEC, ENC, line
from vaecodec.bench import resources
from vaecodec.bench import rows as csv_rows
from vaecodec.bench.analysis import Results
from vaecodec.bench.report import times
from vaecodec.bench.rows import Row
from vaecodec.bench.runner import coded_file, find_pictures
from vaecodec.bench.tables import environment_notes
from vaecodec.cli.bench import bench
from vaecodec.errors import VaecError

ROOT = Path(__file__).parents[2]
CROPS = Path(__file__).parents[1] / "data" / "bench"
BASELINE = CROPS / "baseline.csv"
CHECKING = ("--metrics", "psnr", "--no-report", "--quiet")

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Result:
        result = CliRunner().invoke(bench, [str(a) for a in arguments], standalone_mode=False)
        if result.exception and not hasattr(result.exception, "exit_code"):
            raise result.exception
        return result

    return call


def fast(*more: object) -> list[object]:
    """Two codecs that take milliseconds."""
    return [CROPS, "--codecs", "jpeg,webp", "--metrics", "psnr", "--no-report", *more]


def results(folder: str = "vaecodec-bench") -> list[Row]:
    return csv_rows.read(Path(folder, "results.csv"))


def test_writes_what_it_says(run: Run) -> None:
    result = run(CROPS, "--codecs", "jpeg,webp,png", "--qualities", "20,40,60,80", "--out", "out")
    assert result.return_value == 0, result.output
    made = {p.name for p in Path("out").iterdir()}
    curves = {f"curves-{m}.{s}" for m in ("psnr", "psnr_mse", "ms_ssim_db", "ssimulacra2") for s in ("svg", "png")}
    assert made == {"results.csv", "environment.json", "report.html", "files"} | curves
    rows = results("out")
    assert len(rows) == 2 * (2 * 4 + 1)
    for row in rows:
        assert (
            row.bytes == next(Path("out", "files", row.codec).glob(f"{row.picture}@{row.setting:g}.*")).stat().st_size
        )
        assert row.bpp == pytest.approx(8 * row.bytes / (256 * 192), abs=1e-6)
        assert row.enc_s > 0 and row.dec_s > 0
        assert (row.psnr == float("inf")) == row.lossless == (row.codec == "png")
        assert row.ms_ssim is not None and row.ssimulacra2 is not None and row.ssimulacra2_by
        assert row.lossless or (20 < row.psnr < 50 and 0.8 < row.ms_ssim < 1 and row.ssimulacra2 < 95)
    facts = json.loads(Path("out", "environment.json").read_text())
    assert facts["command"].startswith("vaecodec") and facts["environment"]["pillow"]
    assert facts["resources"]["jpeg"]["encode_bytes"] > 1e6 and facts["failures"] == []
    text = result.output
    assert "BD-rate by PSNR, mean over pictures" in text and "lossless" in text and "overlap" in text
    page = Path("out", "report.html").read_text()
    assert "data:image/webp;base64," in page and "kodim05-crop.png" in page and "PIL.Image.save(OUT, 'WEBP'" in page


def test_results_are_not_overwritten_by_accident(run: Run) -> None:
    assert run(*fast("--qualities", "20,40,60,80")).return_value == 0
    before = Path("vaecodec-bench/results.csv").read_bytes()
    again = run(*fast())
    assert again.return_value == 1 and "--resume goes on" in again.stderr
    assert Path("vaecodec-bench/results.csv").read_bytes() == before
    assert run(*fast("--qualities", "50,60,70,80", "-f")).return_value == 0
    assert {row.setting for row in results()} == {50, 60, 70, 80}


def test_resume_measures_only_what_is_missing_or_changed(run: Run) -> None:
    assert run(*fast("--qualities", "20,40,60,80")).return_value == 0
    first = {row.key: row for row in results()}
    table = Path("vaecodec-bench/results.csv")
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-5]) + "kodim15-cro")  # died while it wrote
    lost = next(coded for coded in Path("vaecodec-bench/files/jpeg").glob("kodim05*@20.jpg"))
    lost.unlink()
    result = run(*fast("--qualities", "20,40,60,80,90", "--resume"))
    assert result.return_value == 0
    assert "10 of 20 results stand from the earlier run" in result.stderr
    second = {row.key: row for row in results()}
    assert len(second) == 20
    assert sum(second[key] == row for key, row in first.items()) >= 10
    for key, row in first.items():  # the times differ, nothing else
        assert replace(second[key], enc_s=0, dec_s=0) == replace(row, enc_s=0, dec_s=0)
    assert lost.exists()


def test_resume_does_not_trust_another_picture_of_the_same_name(run: Run) -> None:
    Image.open(CROPS / "kodim05-crop.png").save("a.png")
    options = ["--codecs", "jpeg", "--metrics", "psnr", "--qualities", "20,40,60,80", "--no-report"]
    assert run("a.png", *options).return_value == 0
    before = results()
    Image.open(CROPS / "kodim15-crop.png").save("a.png")
    assert run("a.png", *options, "--resume").return_value == 0
    assert {row.pixels for row in results()}.isdisjoint(row.pixels for row in before)


def test_a_killed_run_resumes_to_the_same_results(tmp_path: Path) -> None:
    """SIGKILL half way, in a process of its own with two workers."""
    command = [sys.executable, "-m", "vaecodec", "bench", str(CROPS), "--codecs", "avif,jpeg", "--jobs", "2"]
    command += ["--metrics", "psnr,ms-ssim"]
    command += ["--threads", "1", "--no-report", "--out", str(tmp_path / "out")]
    table = tmp_path / "out" / "results.csv"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    end = time.monotonic() + 120
    while time.monotonic() < end and (not table.exists() or len(table.read_text().splitlines()) < 8):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    text = table.read_text()
    kept = csv_rows.read(table) if text.endswith("\n") else []
    assert 8 <= len(text.splitlines()) < 33, "it was to be killed half way"
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "results stand from the earlier run" in done.stderr
    rows = csv_rows.read(table)
    assert len(rows) == 32 == len({row.key for row in rows})
    assert all(row in rows for row in kept)


def test_failures_do_not_stop_the_rest(run: Run) -> None:
    shutil.copy(CROPS / "kodim05-crop.png", "good.png")
    Path("bad.png").write_bytes((CROPS / "kodim05-crop.png").read_bytes()[:1000])
    failing = line("import sys; sys.exit('out of luck')", "{in} {out} {q}")
    result = run("good.png", "bad.png", "--codecs", "jpeg,toy", "--external", f"toy={failing}", "dec {in} {out}",
                 "--qualities", "40,60,80,90", "--no-report")  # fmt: skip
    assert result.return_value == 1
    assert [row.key for row in results()] == [("good.png", "jpeg", q) for q in (40, 60, 80, 90)]
    assert "it needs the program dec" in result.stderr
    assert "bad.png jpeg: cannot be read" in result.stderr
    assert "Traceback" not in result.output
    listed = json.loads(Path("vaecodec-bench/environment.json").read_text())["failures"]
    assert len(listed) == 5


def test_workers_that_die_take_no_other_result_along(run: Run) -> None:
    deadly = line("import os; os.kill(os.getppid(), 9)", "{in} {out} {q}")
    result = run(CROPS, "--codecs", "toy,jpeg", "--external", f"toy={deadly}", line(DEC, "{in} {out}"), "-j", "2",
                 "--qualities", "toy=1,2", "--qualities", "jpeg=20,40,60,80", *CHECKING)  # fmt: skip
    assert result.return_value == 1
    assert [row.codec for row in results()] == ["jpeg"] * 8
    assert result.stderr.count("toy: a worker process died") == 4


def test_an_external_codec_stands_beside_the_others(run: Run) -> None:
    pair = [f"toy={line(ENC, '{in} {out} {q}')}", line(DEC, "{in} {out}")]
    result = run(CROPS / "kodim05-crop.png", "--codecs", "jpeg,toy", "--external", *pair, "--no-report",
                 "--qualities", "jpeg=20,40,60,80", "--qualities", "toy=30,50,70,90")  # fmt: skip
    assert result.return_value == 0, result.output
    assert {row.setting for row in results() if row.codec == "toy"} == {30, 50, 70, 90}
    assert {row.bytes for row in results() if row.codec == "toy"} == {
        p.stat().st_size for p in Path("vaecodec-bench/files/toy").glob("*.toy")
    }


def test_earlier_results_can_be_shown_beside(run: Run) -> None:
    assert run(*fast("--out", "old", "--qualities", "20,40,60,80")).return_value == 0
    result = run(*fast("--compare", "old/results.csv", "--qualities", "jpeg=20,40,60,80"))
    assert result.return_value == 0
    assert "jpeg@results.csv" in result.output
    assert {row.codec for row in results()} == {"jpeg", "webp"}


def test_check_passes_against_itself_and_fails_against_better(run: Run) -> None:
    assert run(*fast("--out", "old")).return_value == 0
    path = Path("old/results.csv")
    result = run(CROPS, "--check", path, *CHECKING)
    assert result.return_value == 0 and result.output.count(": ok") == 2 and "+0.00 %" in result.output
    assert not Path("vaecodec-bench").exists()
    rows = [replace(row, bpp=0.95 * row.bpp) for row in results("old")]
    with path.open("w", newline="") as handle:
        csv_rows.write_header(handle)
        csv_rows.append(handle, rows)
    result = run(CROPS, "--check", path, *CHECKING)
    assert result.return_value == 1 and result.output.count("WORSE") == 2 and "+5.26 %" in result.output
    assert run(CROPS, "--check", path, *CHECKING, "--tolerance", 6).return_value == 0


def test_the_codec_is_no_worse_than_its_baseline(run: Run) -> None:
    """After a change of weights or encoder: see docs/guide/benchmark.md on how to make the baseline again."""
    result = run(CROPS, "--check", BASELINE, *CHECKING, "--threads", 1)
    assert result.return_value == 0, result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.png"], "nowhere.png: there is no such file or folder"),
        ([CROPS, "--codecs", "jpeg,gif"], "there is no codec gif"),
        ([CROPS, "--qualities", "a,b"], "not numbers"),
        ([CROPS, "--qualities", "gif=1,2"], "names gif"),
        ([CROPS, "--check", "none.csv"], "none.csv: No such file"),
        ([CROPS, "--compare", CROPS / "kodim05-crop.png"], "is no CSV file of bench results"),
        ([CROPS, "--only", "names.txt"], "there are no pictures in"),
    ],
)
def test_bad_requests_get_one_sentence(run: Run, arguments: list[object], message: str) -> None:
    Path("names.txt").write_text("nothing.png")
    result = run(*arguments)
    assert result.return_value == 1
    assert message in result.stderr and len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments", [[], [CROPS, "--metrics", "x"], [CROPS, "--external", "x", "y"], [CROPS, "-j", 0]]
)
def test_usage_errors(run: Run, arguments: list[object]) -> None:
    result = run(*arguments)
    assert result.exception is not None and result.exception.exit_code == 2


def test_packages_that_are_missing_are_named_before_anything_is_done(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "bjontegaard" else found(name))
    result = run(*fast())
    assert result.return_value == 1
    assert "bench needs more packages (bjontegaard): pip install 'vaecodec[bench]'" in result.stderr
    assert not Path("vaecodec-bench").exists()


def test_the_list_says_what_is_here(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("--list", "--external", "toy=no-such-program {in} {out} {q}", "no {in} {out}")
    assert result.return_value == 0
    lines = result.output.splitlines()
    assert any(text.startswith("avif-444-s2-psnr") and "tuned for PSNR" in text for text in lines)
    assert any(text.startswith("toy") and "not here: it needs the program no-such-program" in text for text in lines)


def test_starting_loads_nothing_heavy() -> None:
    script = "import sys, vaecodec.cli.bench; print({'torch', 'numpy', 'PIL', 'matplotlib'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "set()"


def test_pictures_are_found_in_order_and_named_apart(tmp_path: Path) -> None:
    for name in ("b.png", "a.PNG", "sub/c.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list(find_pictures([tmp_path], None)) == ["a.PNG", "b.png", "sub/c.jpg"]
    assert list(find_pictures([tmp_path], frozenset({"c.jpg"}))) == ["sub/c.jpg"]
    with pytest.raises(VaecError, match="would both be called b"):
        find_pictures([tmp_path, other(tmp_path)], None)
    names = {coded_file(tmp_path, "x", ".x", p, 5).name for p in ("a b.png", "a_b.png", "a/b.png")}
    assert len(names) == 3


def other(tmp_path: Path) -> Path:
    folder = tmp_path.parent / f"{tmp_path.name}-other"
    folder.mkdir()
    (folder / "b.png").touch()
    return folder


# Memory


def test_a_system_without_the_module_resource(tmp_path: Path) -> None:
    """As Windows."""
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "resource.py").write_text("raise ModuleNotFoundError(name='resource')")
    path = os.pathsep.join([str(tmp_path / "hidden"), str(ROOT)])
    command = [sys.executable, "-m", "vaecodec", "bench", CROPS, "--codecs", "jpeg", "--metrics", "psnr"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "vaecodec-bench" / "environment.json").read_text())
    assert facts["resources"]["jpeg"]["load_s"] >= 0


def test_a_system_that_does_not_tell_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(resources, "resource", None)
    monkeypatch.setattr(resources, "STATUS", tmp_path / "status")
    assert resources.peak_memory() is None
    assert "Memory is not measured, as this system does not tell it." in environment_notes(None, 1, 1, 1)
    row = csv_rows.read(BASELINE)[0]
    used: dict[str, float | None] = {"load_s": 0.5, "encode_bytes": None, "decode_bytes": None}
    figures = times(Results([row]), row.codec, used)
    assert (figures["load_s"], figures["enc_mb"], figures["dec_mb"]) == (0.5, None, None)


# results.csv


finite = st.floats(0, 1e6, allow_nan=False)
texts = st.text(st.characters(exclude_characters="\0"), max_size=20) | st.sampled_from(["=1+1", "'=x", "'x", "\udcff"])
some_rows = st.builds(
    Row, picture=texts, pixels=texts, width=st.integers(1), height=st.integers(1), codec=texts, label=texts,
    lossless=st.booleans(), version=texts, setting=finite, command=texts, bytes=st.integers(0), bpp=finite, mse=finite,
    psnr=finite | st.just(float("inf")), ms_ssim=st.none() | finite, ssimulacra2=st.none() | st.floats(-1e3, 100),
    ssimulacra2_by=texts, enc_s=finite, dec_s=finite, repeats=st.integers(1), jobs=st.integers(1),
    threads=st.integers(1),
)  # fmt: skip


@given(st.lists(some_rows, max_size=4))
def test_rows_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> None:
    path = written(tmp_path_factory.mktemp("rows"), rows)
    assert csv_rows.read(path) == rows


def written(folder: Path, rows: list[Row]) -> Path:
    path = folder / "results.csv"
    with csv_rows.opened(path, "w") as handle:
        csv_rows.write_header(handle)
        csv_rows.append(handle, rows)
    return path


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "'=1"])
def test_no_name_is_a_formula(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, [replace(csv_rows.read(BASELINE)[0], picture=name)])
    assert path.read_bytes().split(b"\r\n")[1].startswith(b"\"'" + name.encode())
    assert csv_rows.read(path)[0].picture == name


@pytest.mark.skipif(sys.platform != "linux", reason="such names are files on Linux only")
def test_a_name_of_any_bytes(run: Run) -> None:
    names = ["=1+1.png", "a\udcff\n\x1b[2J.png"]
    for name in names:
        shutil.copy(CROPS / "kodim05-crop.png", name)
    Path("bad\udcff.png").write_bytes(b"nothing")
    Path("only.txt").write_bytes(b"=1+1.png\n" + os.fsencode("bad\udcff.png"))
    shutil.copy(BASELINE, "old\udcff.csv")
    options = ["--codecs", "jpeg", "--metrics", "psnr", "--qualities", "20,40,60,80", "--threads", "1"]
    assert run(*names, *options, "-j", 2, "--compare", "old\udcff.csv").return_value == 0
    assert {row.picture for row in results()} == set(names)
    resumed = run(*names, *options, "--resume")
    assert resumed.return_value == 0 and "8 of 8 results stand" in resumed.stderr
    failing = run(".", *options, "-f", "--only", "only.txt")
    assert failing.return_value == 1 and r"failed: bad\xff.png jpeg: cannot be read" in failing.stderr


@pytest.mark.parametrize("change", [{"bytes": "many"}, {"lossless": "perhaps"}, {"psnr": "nan"}, {"codec": None}])
def test_a_line_that_is_no_row_is_named(tmp_path: Path, change: dict[str, str | None]) -> None:
    table = list(csv.DictReader(BASELINE.open(newline="")))
    table[1] |= change  # type: ignore[arg-type]
    path = tmp_path / "x.csv"
    with path.open("w", newline="") as handle:
        fields = [name for name in table[0] if table[1][name] is not None]
        writer = csv.DictWriter(handle, fields, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(table)
    with pytest.raises(VaecError, match=r"line [23] is no row of bench results"):
        csv_rows.read(path)
