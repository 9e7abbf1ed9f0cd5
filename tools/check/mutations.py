"""Does every misreading of the specification show? python -m tools.check.mutations [NAME...]

Each mutation changes the independent decoder (tests/reference_decoder.py and what belongs to it) in one place, as
someone might who has misread bitstream_spec.md. Then it decodes the vectors, until one shows the difference: a valid
file that it refuses or decodes to other pixels, or an invalid one that it decodes. Ends with 1 where more than WAIVED
say nothing.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"
MODELS = {kind: VECTORS / f"{kind}.safetensors" for kind in ("small", "three")}
MODELS["base"] = ROOT / "vaecodec" / "weights" / "base.safetensors"
MODULES = ("reference_model", "reference_pixels", "reference_decoder")  # each imports those before it


class Mutation(NamedTuple):
    """A misreading: the text that stands once in a module, and what takes its place."""

    rule: str
    module: str
    text: str
    other: str


def of(module: str, *changes: tuple[str, str, str]) -> list[Mutation]:
    return [Mutation(rule, module, text, other) for rule, text, other in changes]


MUTATIONS = [
    *of(
        "reference_decoder",
        ("F1: five bytes of the signature", "need(data[:8] == SIGNATURE, f", "need(data[:5] == SIGNATURE[:5], f"),
        ("F3: what stands behind the last tile is left out", "need(len(lengths) < len(wanted), f", "need(True, f"),
        ("C1: any four bytes", 'need(kind.isalpha(), "C1', 'need(True, "C1'),
        ("C2: no checksums", "== crc, f", "!= -1, f"),
        ("C2: those of critical chunks alone", "== crc, f", "== crc or kind[:1].islower(), f"),
        ("C4: unknown chunks are left out", "need(kind[0].islower(), f", "need(True, f"),
        ("C5: metadata may be repeated", "need(kind not in once and not lengths, f", "need(not lengths, f"),
        ("C5: metadata may be behind tiles", "need(kind not in once and not lengths, f", "need(kind not in once, f"),
        ("C6: the third letter has no meaning", "need(kind[2:3].isupper(), ", "need(True, "),
        (
            "H1: a longer HEAD is refused",
            "    rows, columns = header.tiles\n",
            "    need(at == len(data), 'H1')\n    rows, columns = header.tiles\n",
        ),
        ("H2: any version", "need(data[0] == 9, f", "need(True, f"),
        ("H4: alpha without colour", "need((alpha > 0) == (colour >= 2), ", "need(True, "),
        ("H5: any model", "need(wanted == (weights.name, weights.hash[:8]), f", "need(True, f"),
        ("H8: bit 7 has no meaning", "need(flags < 128, ", "need(True, "),
        ("H9: features are left out", "need(features % 65536 < 2, f", "need(True, f"),
        ("H9: all features are needed", "need(features % 65536 < 2, f", "need(features < 2, f"),
        ("I1: the index may be wrong", 'need(read_index(once["tIDX"]) == lengths, ', "need(True, "),
        ("T1: sixteen kinds of lanes", "need(lanes_log2 <= 8, ", "need(True, "),
        ("T2: numbers in any form", "need(byte > 0 or count == 0, f", "need(True, f"),
        ("T4: a tile without latents may have some", 'need(latents or lengths["high"] == 0, ', "need(True, "),
        ("T5: tiles have no numbers", "need(told == number, f", "need(True, f"),
        ("T6: sections may be empty", "need(lengths[name] > 0 or name not in FLAGS, f", "need(True, f"),
        (
            "T7: tiles may be cut anywhere",
            "need(len(parts) == 1 or [len(part) for part in parts] == wanted, ",
            "need(True, ",
        ),
        ("E1: states of any value", "need(min(states) >= 65536, ", "need(True, "),
        (
            "E2: words that are missing are 0",
            'need(self.at < len(self.words), "E2: the words run out")',
            "self.words = (*self.words, 0)",
        ),
        (
            "E3: words of `low` are not counted",
            "need(self.at == self.ends[section], f",
            'need(section == "low" or self.at == self.ends[section], f',
        ),
        (
            "E3: words of `z` are not counted",
            "need(self.at == self.ends[section], f",
            'need(section == "z" or self.at == self.ends[section], f',
        ),
        ("E3: states at the end are not looked at", "need(all(x == 65536 for x in self.x), ", "need(True, "),
        ("E4: escapes may be left", "need(self.escapes_at == len(self.escapes), ", "need(True, "),
        ("E4: escapes of any size", "need(abs(value) <= 32767, ", "need(True, "),
        (
            "E4: zigzag the other way round",
            "value = u // 2 if u % 2 == 0 else -(u + 1) // 2",
            "value = -(u // 2) if u % 2 == 0 else (u + 1) // 2",
        ),
        ("E4: low is added to an escape", "self.escape() if s", "table.low + self.escape() if s"),
        ("E5: no limit of rounds", "need(self.rounds <= 20480, ", "need(True, "),
        ("E5: 16384 rounds", "self.rounds <= 20480", "self.rounds <= 16384"),
        ("7: no limit of machines", "while count < 128 and", "while"),
        ("7: a machine for 256 symbols", "2 * count <= n // 512", "2 * count <= n // 256"),
        ("7: NEXT by the value's parity", "machines.move(s)", "machines.move(int(values[-1]))"),
        (
            "7: all lanes in dependent runs",
            "lanes = min(len(self.x), len(machines.states)) if machines else",
            "lanes = len(self.x) if machines else",
        ),
        ("8: z is not clamped", "z_hat = np.clip(z, -63, 63).reshape", "z_hat = z.reshape"),
        ("8: the anchor below", "anchor = (quality + 62) // 125", "anchor = quality // 125"),
        ("8: means are not clamped", "mean = np.clip(mean, -16383, 16383)", "mean = mean + 0"),
        (
            "8: far means may be skipped",
            'table = np.where(np.abs(mean) > 16, np.maximum(table, c["skip"]), table)',
            "table = table + 0",
        ),
        ("8: y_hat is not clamped", "np.clip(moved + mean, -16383, 16383)", "moved + mean"),
        ("8: phase 1 does not know its own group", "ends[(s + 1) // 2]]", "ends[s // 2]]"),
        ("8: what is known is not clamped", "np.clip(known, -2047, 2047)", "known"),
        ("8: halves away from zero", "table = np.rint(index / 16)", "table = np.floor(index / 16 + 0.5)"),
        (
            "9: the shortcut is not clamped",
            'q(model.layer("g_s.shortcut", y), 2**20)',
            'np.rint(model.layer("g_s.shortcut", y))',
        ),
        ("9: Y is not clamped", "-(2**23), 2**23) / 512", "-(2**40), 2**40) / 512"),
        (
            "9: tiles without latents have no filter",
            "        if kernel:\n",
            "        if tiles[number][0][0] & 15 == 8:\n"
            "            area = header.area(number, 64, header.height, header.width)\n"
            "            picture[area] = filtered(x_hat, [0] * 36)[area]\n"
            "        if kernel:\n",
        ),
        ("10: grey without the half", "np.array([[1], [2], [1]]) + 2) >> 2", "np.array([[1], [2], [1]])) >> 2"),
    ),
    *of(
        "reference_pixels",
        ("S2: data behind the filter", 'need(len(bits) < 8 and "1" not in bits, ', "need(True, "),
        ("S3: filters of any strength", "need(strength(values) <= 56000, ", "need(True, "),
        ("S3: 56000 is too much", "need(strength(values) <= 56000, ", "need(strength(values) < 56000, "),
        ("S3: 57000 are allowed", "need(strength(values) <= 56000, ", "need(strength(values) <= 57000, "),
        ("S4: codes of any length", "need(zeros <= 16, ", "need(True, "),
        ("9: the filter takes zeros outside", 'mode="edge"', 'mode="constant"'),
        ("9: chroma is clipped as luma", "values[30:], 32)", "values[30:], 128)"),
        ("P1: bitstreams of any width", "fields % 2**14 == width - 1 and ", ""),
        ("P4: overlays may be half there", "need(np.isin(rgba[..., 3], (0, 255)).all(), ", "need(True, "),
        (
            "P2: alpha is red",
            "decode_vp8l(section, height, width)[..., 1]",
            "decode_vp8l(section, height, width)[..., 0]",
        ),
    ),
    *of(
        "reference_model",
        ("6: gates are not clamped", "t = q(a * np.clip(g, -256, 256) / 128)", "t = q(a * g / 128)"),
        (
            "6: halves away from zero",
            "np.clip(np.rint(x), -limit, limit)",
            "np.clip(np.sign(x) * np.floor(abs(x) + 0.5), -limit, limit)",
        ),
        ("6: features to 2048", "limit: int = 2047", "limit: int = 2048"),
        ("5: rows of tables are rounded down", "a[k + 1] * f + 62) // 125", "a[k + 1] * f) // 125"),
    ),
]
WAIVED = {  # by rule, why no vector can show it
    "E2: words that are missing are 0": "they are not those of the section either, E3",
    "P1: bitstreams of any width": "what is too narrow has no place in the tile",
    "7: no limit of machines": "a run of over 131,072 dependent symbols takes a file of 250 kB",
    "8: means are not clamped": "the means of no model in the vectors go so far",
    "9: the shortcut is not clamped": "pixels are clamped long before",
    "S4: codes of any length": "a filter with such a number is too strong, too",
}


def mutated(mutation: Mutation | None) -> types.ModuleType:
    """The decoder with one misreading."""
    before = {name: sys.modules.get(f"tests.{name}") for name in MODULES}
    try:
        for name in MODULES:
            source = (ROOT / "tests" / f"{name}.py").read_text()
            if mutation and name == mutation.module:
                if mutation.text not in source:
                    raise ValueError(f"{mutation.rule}: the text to change is not there")
                source = source.replace(mutation.text, mutation.other)
            module = types.ModuleType(f"tests.{name}")
            sys.modules[f"tests.{name}"] = module
            exec(compile(source, name, "exec"), module.__dict__)
        return module
    finally:
        sys.modules.update({f"tests.{name}": module for name, module in before.items() if module})


def vectors() -> Iterator[tuple[str, dict[str, Any], bytes]]:
    """Name, facts and bytes of each vector, the invalid ones and those of the small model first, the shortest ahead."""
    record = json.loads((VECTORS / "vectors.json").read_text())
    files = [(VECTORS / kind / f"{name}.vaec", facts) for kind in record for name, facts in record[kind].items()]
    files.sort(key=lambda file: (file[1]["model"] != "small", "sha256" in file[1], file[0].stat().st_size))
    for path, facts in files:
        yield path.stem, facts, path.read_bytes()


def shows(decoder: types.ModuleType, facts: dict[str, Any], data: bytes) -> bool:
    """Whether a vector tells a decoder from a right one."""
    try:
        pixels = decoder.decode(data, MODELS[facts["model"]].read_bytes())
    except Exception:
        return "sha256" in facts
    if "sha256" not in facts:
        return True
    return bool(hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest() != facts["sha256"])


def caught(mutation: Mutation | None) -> str:
    """The vector that shows a mutation; "" where none does."""
    decoder = mutated(mutation)
    with np.errstate(all="ignore"):
        return next((name for name, facts, data in vectors() if shows(decoder, facts, data)), "")


def main() -> int:
    start, wanted = time.process_time(), sys.argv[1:]
    if name := caught(None):
        print(f"the decoder itself is wrong about {name}")
        return 1
    missed = []
    for mutation in MUTATIONS:
        if wanted and not any(word in mutation.rule for word in wanted):
            continue
        name = caught(mutation)
        print(f"{mutation.rule:50} {name or WAIVED.get(mutation.rule) or 'NOTHING SHOWS IT'}", flush=True)
        if not name and mutation.rule not in WAIVED:
            missed.append(mutation.rule)
    print(f"{len(MUTATIONS)} mutations, {len(missed)} that nothing shows, {time.process_time() - start:.0f} s of CPU")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
