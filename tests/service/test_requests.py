"""What an Accept header chooses, by RFC 9110, section 12.5.1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaecodec.service.requests import negotiated

PNG, WEBP, JPEG = OFFERS = ["image/png", "image/webp", "image/jpeg"]
BROWSER = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


@pytest.mark.parametrize(
    "accept, wanted",
    [
        ("", PNG),
        ("*/*", PNG),
        ("image/*", PNG),
        ("image/webp", WEBP),
        ("IMAGE/WebP", WEBP),
        ("image/jpeg, image/webp", WEBP),
        ("image/jpeg;q=0.9, image/webp;q=0.8", JPEG),
        ("image/jpeg;q=0.9, image/*;q=0.8", JPEG),
        ("image/png;q=0, image/*", WEBP),
        ("image/png;q=0.1, */*;q=0.2", WEBP),
        ("image/webp;q=1.000, */*;q=0.999", WEBP),
        ("image/webp ; q=0.5 , image/png; q=0.4", WEBP),
        ("image/webp;level=1;q=0.2, image/png;q=0.1", WEBP),
        ("image/webp;q=0.2, image/webp;q=0.9, image/png;q=0.5", WEBP),
        (BROWSER, PNG),
        ("image/vaec", None),
        ("text/html", None),
        ("*/*;q=0", None),
        ("image/png;q=0, image/webp;q=0.0, image/jpeg;q=0.000", None),
        ("image", None),
        ("*", None),
        (",,;;==", None),
        ("image/webp;q=2", WEBP),
    ],
)
def test_it_chooses(accept: str, wanted: str | None) -> None:
    assert negotiated(accept, OFFERS) == wanted


@given(st.text("imagepnwb/*;q=.019, \t\"'"))
def test_any_text_will_do(accept: str) -> None:
    assert negotiated(accept, OFFERS) in [*OFFERS, None]
