"""Batches whose inputs stand in a file, and their results in another; batches shared out among machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands import Run, picture_file
from vaecodec.cli.manifest import in_shard


def lines(path: str | bytes) -> list[dict[str, Any]]:
    text = path.decode() if isinstance(path, bytes) else Path(path).read_text()
    return [json.loads(line) for line in text.splitlines()]


def tree() -> list[str]:
    """Pictures of one name in different folders."""
    names = [f"album/{n % 3}/{n}.png" for n in range(12)]
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        picture_file(name)
    return names


def test_names_from_a_file(run: Run) -> None:
    names = tree()
    Path("list").write_text("\r\n".join(names[:3]) + "\n\nalbum/none.png\n")
    result = run("encode", "--manifest", "list", "--out-dir", "small", "--results", "done.jsonl")
    assert result.code == 1 and "album/none.png: No such file" in result.err
    found = lines("done.jsonl")
    assert [f["input"] for f in found] == [*names[:3], "album/none.png"]
    for facts in found[:3]:
        output = Path("small", facts["input"]).with_suffix(".vaec")
        assert facts["output"] == str(output) and facts["bytes"] == output.stat().st_size
        assert facts["ok"] and facts["bpp"] == pytest.approx(facts["bytes"] * 8 / 48) and facts["seconds"] >= 0
    assert found[3].items() >= {"ok": False, "error": "No such file or directory", "code": 1}.items()


def test_json_from_stdin(run: Run) -> None:
    tree()
    picture_file("{odd}.png"), picture_file("dash.png").rename("-")
    given = [
        {"input": "album/0/0.png", "output": "there/a.vaec", "label": 3},
        {"input": "{odd}.png"},
        {"input": "-", "output": "-"},
    ]
    text = "\n".join(map(json.dumps, given)).encode()
    result = run("encode", "--manifest", "-", "--results", "-", stdin=text)
    assert result.code == 1 and "would replace the input" in result.err
    assert Path("there/a.vaec").exists() and Path("{odd}.vaec").exists()
    assert [f["ok"] for f in lines(result.out)] == [True] * 2 + [False], "- is a file, and its output the same file"


def test_outputs_of_a_manifest_lie_in_the_folder(run: Run) -> None:
    names = tree()
    entry, around = {"input": names[0], "output": "a/b.vaec"}, f"../{Path.cwd().name}/{names[1]}"
    Path("list").write_text(f"{json.dumps(entry)}\n{around}\n")
    assert run("encode", "--manifest", "list", "--out-dir", "out").code == 0
    assert Path("out/a/b.vaec").exists() and Path("out", Path.cwd().name, names[1]).with_suffix(".vaec").exists()
    Path("list").write_text(str(Path(names[2]).absolute()))
    assert run("encode", "--manifest", "list", "--out-dir", "out").code == 0
    assert Path("out", *Path(names[2]).absolute().parts[1:]).with_suffix(".vaec").exists()


def test_results_are_kept_and_added_to(run: Run) -> None:
    names = tree()
    Path("list").write_text("\n".join(names[:2]))
    Path("done").write_text("{}\n")
    both = ("encode", "--manifest", "list", "--results", "done")
    result = run(*both)
    assert result.code == 1 and "done exists already" in result.err and not Path("album/0/0.vaec").exists()
    assert run("encode", names[0]).code == 0
    assert run(*both, "--skip-existing").code == 0
    assert [f.get("input") for f in lines("done")] == [None, names[1]]
    assert run(*both, "-f").code == 0
    assert [f["input"] for f in lines("done")] == names[:2]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('a.png\n{"input": "a.png"', "line 2 is not JSON"),
        ('{"output": "a.vaec"}', 'line 1 has no "input"'),
        ('{"input": "a.png", "output": 3}', 'line 1 has an "output" that is no name'),
        ("a\0.png", "line 1 has a name with a zero byte"),
        ("a.png\na.png", "both become"),
    ],
)
def test_manifests_that_are_none(run: Run, text: str, word: str) -> None:
    picture_file("a.png")
    Path("list").write_text(text)
    result = run("encode", "--manifest", "list")
    assert result.code == 2 and word in result.err and not Path("a.vaec").exists()


def test_manifests_and_names_exclude_each_other(run: Run) -> None:
    assert "exclude each other" in run("encode", "--manifest", "list", "a.png").err
    assert "--manifest list: No such file" in run("encode", "--manifest", "list").err
    assert run("encode", "--manifest", "list").code == 2
    for more in ((), ("-o", "a.vaec"), ("--out-dir", "out")):
        result = run("encode", "--manifest", "-", *more)
        assert result.code == 0 and "nothing to do" in result.err


@pytest.mark.parametrize("count", [1, 3, 16])
def test_every_file_is_in_one_shard(run: Run, count: int) -> None:
    names = tree()
    Path("list").write_text("\n".join(names))
    done: list[str] = []
    for k in range(1, count + 1):
        assert run("encode", "--manifest", "list", "--shard", f"{k}/{count}", "--results", f"{k}.jsonl").code == 0
        done += [f["input"] for f in lines(f"{k}.jsonl")]
        whole = {p for p in names if in_shard(Path(p), (k, count))}
        assert {f["input"] for f in lines(f"{k}.jsonl")} == whole, "whatever the other files are"
    assert sorted(done) == sorted(names)
    if count == 3:
        assert all(lines(f"{k}.jsonl") for k in (1, 2, 3))


def test_shards_of_a_folder_are_those_of_the_same_folder_elsewhere(run: Run) -> None:
    tree()
    Path("album").rename("elsewhere")
    tree()
    for folder in ("album", "elsewhere"):
        assert run("encode", "-r", folder, "--shard", "2/3", "--out-dir", f"{folder}.out").code == 0
    made = [sorted(p.relative_to(f) for p in Path(f).rglob("*.vaec")) for f in ("album.out", "elsewhere.out")]
    assert made[0] == made[1] and made[0]


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "a/b", "1/0"])
def test_shards_that_are_none(run: Run, shard: str) -> None:
    result = run("encode", "--shard", shard, "a.png")
    assert result.code == 2 and "is not a shard such as 3/16" in result.err
