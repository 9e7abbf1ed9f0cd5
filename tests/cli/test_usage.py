"""Bad command lines: one plain sentence each, and exit code 2."""

from __future__ import annotations

import click
import pytest
from PIL import Image

from tests.commands import FakeCodec, Run, picture_file, vaec
from vaecodec.cli.app import cli
from vaecodec.cli.usage import name_of
from vaecodec.cli.values import Number, OneOf, Whole
from vaecodec.pictures.picture import Picture

SENTENCES = {
    "encode": "IN is missing",
    "encode -q abc a.png": "--quality: 'abc' is not a number",
    "encode -q 101 a.png": "--quality: 101 is not between 0 and 100",
    "encode -q nan a.png": "--quality: 'nan' is not a number",
    "encode -q": "-q needs a value",
    "encode --effort 1.5 a.png": "--effort: '1.5' is not a whole number",
    "encode --target-psnr inf a.png": "--target-psnr: 'inf' is not a number",
    "encode --tune hifi a.png": "--tune: 'hifi' is not one of these: psnr or ssim",
    "encode --strip some a.png": "--strip: 'some' is not one of these: none, private or all",
    "encode -j 0 a.png": "--jobs: 0 is less than 1",
    "encode --qualty 5 a.png": "there is no option --qualty; is --quality or --quiet meant?",
    "encode --zzz a.png": "there is no option --zzz",
    "encode --quiet=3 a.png": "--quiet takes no value",
    "decode --region 1,2 a.vaec": "--region: '1,2' is not X,Y,WIDTH,HEIGHT in whole pixels",
    "thumbnail a.vaec b.png c.png": "there is no place for c.png here",
    "restore a.png": "--operator is missing",
    "bench --external x": "--external needs 2 values",
    "bench --metrics beauty a": "--metrics: there is no metric beauty, only psnr, ms-ssim, ssimulacra2",
    "paint": "there is no command paint",
}


@pytest.mark.parametrize("line", SENTENCES)
def test_sentences(run: Run, line: str) -> None:
    result = run(*line.split())
    assert result.code == 2
    assert result.err.splitlines()[-1] == f"Error: {SENTENCES[line]}"


def options() -> list[tuple[str, click.Option]]:
    context = click.Context(cli)
    commands = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return [(name, p) for name, c in commands.items() if c for p in c.params if isinstance(p, click.Option)]


def test_every_option_says_it_plainly() -> None:
    """None of them has a type of click's own that speaks of float ranges."""
    seen = 0
    for command, option in options():
        kind = option.type
        assert isinstance(kind, (Number, Whole, OneOf)) or not isinstance(
            kind, (click.IntRange, click.FloatRange, click.Choice, click.types.FloatParamType, click.types.IntParamType)
        ), (command, option.name)
        if isinstance(kind, (Number, Whole)):
            with pytest.raises(click.BadParameter, match=r"^'abc' is not a (whole )?number$"):
                kind.convert("abc", option, None)
            assert name_of(option).startswith("--")
            seen += 1
    assert seen > 20


@pytest.mark.parametrize(
    ("kind", "value", "found"), [(Number(0, 2), " 1.5", 1.5), (Whole(1), "+7", 7), (Whole(), 3, 3)]
)
def test_values(kind: click.ParamType, value: object, found: float) -> None:  # type: ignore[type-arg]
    assert kind.convert(value, None, None) == found


# Presets


def test_presets_are_named_settings(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, dict[str, object]]] = []

    def encode(_: FakeCodec, picture: Picture, quality: float, **options: object) -> bytes:
        asked.append((quality, options | {"exif": picture.exif}))
        return vaec(picture, quality)

    monkeypatch.setattr(FakeCodec, "encode", encode)
    picture_file("a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0")
    for arguments, quality, options in (
        ("--preset web", 65, {"progressive": True, "preview": False, "exif": None}),
        ("--preset archive", 95, {"progressive": False, "preview": True}),
        ("--preset thumbnail", 45, {"progressive": False, "preview": False, "exif": None}),
        ("-q 30 --preset web", 30, {"progressive": True, "preview": False}),
        ("--preset web --sequential --preview --effort 2", 65, {"progressive": False, "preview": True, "effort": 2}),
        ("", 75, {"progressive": False, "preview": None, "effort": 3}),
    ):
        assert run("encode", "-f", *arguments.split(), "a.jpg").code == 0
        assert asked[-1][0] == quality and asked[-1][1].items() >= options.items(), arguments
    assert run("encode", "-f", "--preset", "web", "--strip", "none", "a.jpg").code == 0
    assert asked[-1][1]["exif"]


def test_a_target_goes_before_the_quality_of_a_preset(real: Run) -> None:
    Image.effect_mandelbrot((64, 48), (-2, -1, 1, 1), 50).convert("RGB").save("a.png")
    result = real("encode", "--preset", "web", "--target-bpp", "2", "a.png")
    assert result.code == 0 and "quality" in result.err, result.err
    assert "exclude each other" in real("encode", "--preset", "web", "-q", "3", "--target-bpp", "2", "a.png").err
    assert "--preset: 'print' is not one of these: web, archive or thumbnail" in real("encode", "--preset", "print").err
