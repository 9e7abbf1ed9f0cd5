"""The report as one HTML document: skeleton, style, script and data put together, nothing fetched from anywhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib import resources
from typing import Any

SCRIPTS = ("common", "curves", "tables", "viewer")  # one script in the page, in this order
PLACEHOLDER = re.compile(r"@@(\w+)@@")


def render(data: dict[str, Any]) -> str:
    """The document that shows `data`. Numbers that do not exist are None: NaN and infinities raise ValueError."""
    folder = resources.files(__name__)
    html, css = (folder.joinpath(name).read_text("utf-8") for name in ("report.html", "report.css"))
    js = "\n".join(folder.joinpath(f"{name}.js").read_text("utf-8") for name in SCRIPTS)
    # Without "<" no text can end the script element, nor open a comment in it. Pure ASCII takes any file name.
    embedded = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = {"css": css, "js": js, "data": embedded, "css_hash": csp_hash(css), "js_hash": csp_hash(js)}
    return PLACEHOLDER.sub(lambda match: parts[match[1]], html)  # one pass: placeholders in the data stay text


def csp_hash(source: str) -> str:
    """The Content-Security-Policy source that allows this inline text and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
