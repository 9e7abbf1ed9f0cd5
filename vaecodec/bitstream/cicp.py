"""The chunk `cICP`: a colour space in four numbers of ITU-T H.273, as in PNG. Primaries and curves have names here."""

from __future__ import annotations

SRGB = bytes((1, 13, 0, 1))
PRIMARIES = {
    1: "BT.709",
    4: "BT.470 M",
    5: "BT.470 BG",
    6: "BT.601",
    7: "SMPTE 240M",
    8: "film",
    9: "BT.2020",
    10: "XYZ",
    11: "DCI P3",
    12: "Display P3",
    22: "EBU 3213",
}
CURVES = {
    1: "BT.709",
    4: "gamma 2.2",
    5: "gamma 2.8",
    6: "BT.601",
    7: "SMPTE 240M",
    8: "linear",
    9: "log 100",
    10: "log 316",
    11: "xvYCC",
    12: "BT.1361",
    13: "sRGB",
    14: "BT.2020",
    15: "BT.2020",
    16: "PQ",
    17: "SMPTE 428",
    18: "HLG",
}
NAMES = {
    (1, 1): "BT.709",
    (1, 13): "sRGB",
    (9, 14): "BT.2020",
    (9, 15): "BT.2020",
    (9, 16): "BT.2100 PQ",
    (9, 18): "BT.2100 HLG",
    (12, 13): "Display P3",
}


def is_cicp(data: bytes) -> bool:
    """Whether these are four numbers, of full-range RGB [C6]."""
    return len(data) == 4 and data[2:] == SRGB[2:]


def name_of(cicp: bytes) -> str:
    """In words, such as Display P3."""
    primaries, curve = cicp[:2]
    if name := NAMES.get((primaries, curve)):
        return name
    known = PRIMARIES.get(primaries, f"number {primaries}"), CURVES.get(curve, f"number {curve}")
    return "primaries {}, curve {}".format(*known)
