"""Make the page of the Python functions from their docstrings: python -m tools.make.api > docs/reference/api.md"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import vaecodec
from vaecodec.bitstream.info import Info
from vaecodec.codec.partial import Partial
from vaecodec.codec.ratecontrol import Found
from vaecodec.dataset import VaecDataset, VaecFolder

WIDTH = 100
RETURNED = {"Info": Info, "Found": Found, "Partial": Partial}  # not made by callers, but given to them
ENTRY = re.compile(r" {4}\w")  # an argument below "Args:", as its continuations are further in


def page() -> str:
    """The whole page."""
    public = {name: getattr(vaecodec, name) for name in vaecodec.__all__ if not name.startswith("_")}
    functions = {n: x for n, x in public.items() if inspect.isfunction(x)}
    errors = {n: x for n, x in public.items() if inspect.isclass(x) and issubclass(x, Exception)}
    classes = {n: x for n, x in public.items() if n not in functions | errors}
    lines = ["# Python functions", ""]
    lines += ["Made from the docstrings by `python -m tools.make.api`; [the guide](../guide/python.md) has"]
    lines += ["examples."]
    lines += ["", "## Functions", "", *entries(functions), "## Classes", "", *entries(classes)]
    lines += ["## `vaecodec.dataset`", "", *entries({"VaecDataset": VaecDataset, "VaecFolder": VaecFolder})]
    lines += ["## What they return", "", *entries(RETURNED), "## Errors", "", *entries(errors)]
    return "\n".join(lines).rstrip() + "\n"


def entries(things: dict[str, Any]) -> Iterator[str]:
    """The lines of functions and classes, by name."""
    for name in sorted(things, key=str.lower):
        thing = things[name]
        error = inspect.isclass(thing) and issubclass(thing, Exception)
        yield from entry("###", thing.__name__ if error else name + signature(thing), thing)
        if inspect.isclass(thing) and not error:
            for method, function in sorted(vars(thing).items()):
                if inspect.isfunction(function) and not method.startswith("_") and function.__doc__:
                    yield from entry("####", f"{name}.{method}{signature(function)}", function)


def entry(heading: str, title: str, thing: Any) -> Iterator[str]:
    """A heading, the signature as code, and the docstring."""
    yield f"{heading} {title.partition('(')[0]}"
    yield ""
    if "(" in title:
        yield from ("```py", title, "```", "")
    yield from prose(inspect.getdoc(thing) or "")


def signature(thing: Any) -> str:
    """The arguments of a function, a line each where they are many."""
    found = inspect.signature(thing)
    parameters = [p for p in found.parameters.values() if p.name != "self"]
    found = found.replace(parameters=parameters, return_annotation=inspect.Signature.empty)
    text = str(found).replace("'", "")
    if len(text) <= WIDTH - 30:
        return text
    parts, depth, start = [], 0, 1  # commas at the outermost level part arguments
    for at, letter in enumerate(text[1:-1], 1):
        depth += (letter in "[(") - (letter in "])")
        if letter == "," and not depth:
            parts.append(text[start:at].strip())
            start = at + 1
    parts.append(text[start:-1].strip())
    return "(\n" + "".join(f"    {part},\n" for part in parts) + ")"


def prose(text: str) -> Iterator[str]:
    """A docstring as Markdown: paragraphs, and a list of arguments."""
    for paragraph in re.split(r"\n\n|\n(?=(?:Returns|Raises):)", text):
        first, *rest = paragraph.split("\n")
        if first == "Args:":
            yield from ("Arguments:", "")
            for item in arguments(rest):
                name, _, meaning = item.partition(": ")
                yield from wrapped(f"* `{name}`: {meaning}", "  ")
        else:
            yield from wrapped(" ".join(paragraph.split()), "")
        yield ""


def arguments(lines: list[str]) -> Iterator[str]:
    """What is said of each argument, or of several that stand on one line."""
    item: list[str] = []
    for line in lines:
        if ENTRY.match(line) and item:
            yield " ".join(item)
            item = []
        item.append(line.strip())
    yield " ".join(item)


def wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def main() -> None:
    sys.stdout.write(page())


if __name__ == "__main__":
    main()
