"""The commands that make pictures better: denoise, inpaint, restore, enhance.

Imports of NumPy and torch stand inside, as in coding.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaecodec.cli.batch import How, run
from vaecodec.cli.options import FileName, batch_options, denoising, frame_option, inputs, rate_options
from vaecodec.cli.plan import Outputs, output_format, plan
from vaecodec.cli.values import AUTO, NOISE_MAX, Number, Sigma
from vaecodec.codec.defaults import EFFORT
from vaecodec.console import loading
from vaecodec.extras import need_torch
from vaecodec.jobs import Encode, Restore
from vaecodec.trees import is_picture, is_vaec

if TYPE_CHECKING:
    from vaecodec.codec.ratecontrol import Target
    from vaecodec.restoration.recipes import Recipe


def restoring(ending: str) -> Callable[[Callable[..., Recipe]], Callable[..., int]]:
    """Makes a command of what returns a recipe: its inputs, the options of batches, and a rate for `.vaec` outputs.

    Args: ending: of outputs that are not named.
    """

    def decorate(recipe: Callable[..., Recipe]) -> Callable[..., int]:
        @inputs
        @rate_options
        @click.option("--device", default="cpu", metavar="NAME", help="Where to compute, as PyTorch names it: cuda.")
        @frame_option
        @batch_options
        @wraps(recipe)
        def command(
            inputs: tuple[Path, ...],
            rate: float | Target,
            frame: int | None,
            max_pixels: int,
            outputs: Outputs,
            how: How,
            device: str,
            **options: Any,
        ) -> int:
            with loading(how.quiet):  # a recipe wants PyTorch
                need_torch("restoration")
                what = recipe(**options)
            planned = plan(inputs, outputs, ending, is_output=lambda _: True, is_input=is_picture)
            for _, target in planned.jobs:
                if not is_vaec(target):
                    output_format(target)
            encode = Encode(rate, EFFORT, max_pixels, recipe=what, device=device, frame=frame)
            return run(planned, Restore(what, encode), how)

        return command

    return decorate


@click.command()
@click.option("--sigma", type=Sigma(), default=AUTO, help="Noise in 8-bit levels; by default it is measured.")
@click.option("--fast", is_flag=True, help="One pass instead of the mean of four.")
@restoring(".denoised.png")
def denoise(sigma: float | str, fast: bool) -> Recipe:
    """Remove noise from pictures.

    Each output lies beside its input as NAME.denoised.png unless it is named: of two names, the second is the output.
    Where that ends in .vaec, the picture is coded at once; -q and the targets are for this.
    """
    return denoising(sigma, fast)


@click.command()
@click.option("--mask", type=FileName(), metavar="MASK", help="A picture that is white where pixels are missing.")
@restoring(".filled.png")
def inpaint(mask: Path | None) -> Recipe:
    """Fill in missing parts of pictures: those that are white in the mask, or without one the transparent ones.

    Known pixels stay as they are. Outputs as of `denoise`, with the ending .filled.png.
    """
    from vaecodec.restoration.recipes import Inpaint

    return Inpaint(mask)


@click.command()
@click.option("--operator", required=True, metavar="OPERATOR", help="blur:1.5, motion:9,30, downsample:2, jpeg.")
@click.option("--noise", type=Number(0, NOISE_MAX), default=1.0, help="Levels of noise besides, 0 to 150; default 1.")
@restoring(".restored.png")
def restore(operator: str, noise: float) -> Recipe:
    """Undo what was done to pictures.

    blur:S, Gaussian of S pixels; motion:L,A, along L pixels at A degrees; downsample:F, means over F x F pixels (2 to
    4), which makes the picture larger; jpeg, the artefacts of a JPEG file. Outputs as of `denoise`, with the ending
    .restored.png.
    """
    from vaecodec.errors import VaecError
    from vaecodec.restoration.recipes import Undo, parse_operator

    try:
        if operator != "jpeg":
            parse_operator(operator)
    except VaecError as error:
        raise click.UsageError(f"--operator: {error}") from None
    return Undo(operator, noise)


@click.command()
@restoring(".enhanced.png")
def enhance() -> Recipe:
    """Remove noise, then stretch the tones over the whole range (Pillow's autocontrast); colours are kept.

    Outputs as of `denoise`, with the ending .enhanced.png.
    """
    from vaecodec.restoration.recipes import Enhance

    return Enhance()
