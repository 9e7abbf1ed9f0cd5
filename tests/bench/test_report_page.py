"""The report page as a text; test_report_browser.py opens it."""

from __future__ import annotations

import json
import math
import re

import pytest
from report_data import make_data

from vaecodec.bench.page import render


def test_the_data_comes_through_whole() -> None:
    data = make_data()
    page = render(data)
    (embedded,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert json.loads(embedded) == data
    assert "<" not in embedded  # no end of the script element, no comment in it


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_json_does_not_have_are_refused(value: float) -> None:
    with pytest.raises(ValueError):
        render(make_data() | {"environment": {"x": value}})


def test_the_page_names_no_address() -> None:
    found = set(re.findall(r"\w+://[^\s\"']+", render(make_data())))
    assert found == {"http://www.w3.org/2000/svg"}  # a name, not fetched
