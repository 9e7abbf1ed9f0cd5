"""Properties in an XMP packet: what is there, and what is added. What was there before stays byte for byte."""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

Properties = dict[str, list[str]]  # by name with its usual prefix, such as dc:title

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
}
CONTAINERS = {  # of properties that are not a plain text; Alt: one text in several languages, of which we write one
    **dict.fromkeys(("dc:description", "dc:rights", "dc:title", "exif:UserComment", "xmpRights:UsageTerms"), "Alt"),
    "dc:creator": "Seq",
    **dict.fromkeys(("dc:subject", "Iptc4xmpCore:SubjectCode", "photoshop:SupplementalCategories"), "Bag"),
}
PACKET = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{}">{}</rdf:RDF></x:xmpmeta>'
END = re.compile(rb"</[A-Za-z_][\w.-]*:RDF\s*>")  # of what a packet says
OTHER_CODE = re.compile(rb"\s*<\?xml[^>]*encoding\s*=\s*[\"'](?!utf-8)", re.I)  # than UTF-8
NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # characters that XML cannot hold


def added(xmp: bytes | None, new: Properties) -> tuple[bytes | None, list[str]]:
    """A packet with more properties, and notes. Those that it has already stay as they are."""
    new = {name: [NO_XML.sub("", text) for text in texts] for name, texts in new.items()}
    if not new:
        return xmp, []
    if not xmp:
        return PACKET.format(RDF, description(new, "")).encode(), []
    there, ends = properties(xmp), list(END.finditer(xmp))
    if there is None or not ends:
        return xmp, [f"its XMP cannot be read, so that nothing is added to it: {', '.join(new)} not kept"]
    known, about = there
    other = [name for name, texts in new.items() if name in known and not same(known[name], texts)]
    notes = [f"its XMP says something else than its other metadata, and is kept: {', '.join(other)}"] if other else []
    missing = {name: texts for name, texts in new.items() if name not in known}
    if not missing:
        return xmp, notes
    at = ends[-1].start()
    return xmp[:at] + description(missing, about).encode() + xmp[at:], notes


def same(texts: list[str], others: list[str]) -> bool:
    """Whether they say the same, in whatever order and spacing, or one is the beginning of the other.

    Fields of IPTC are short.
    """
    one, other = ("\n".join(sorted(" ".join(text.split()) for text in each)) for each in (texts, others))
    return one.startswith(other) or other.startswith(one)


def description(found: Properties, about: str) -> str:
    """The element for properties. Each is valid in any packet in UTF-8, for it names its prefixes itself."""
    prefixes = sorted({name.partition(":")[0] for name in found})
    spaces = "".join(f" xmlns:{prefix}={quoteattr(NAMESPACES[prefix])}" for prefix in prefixes)
    texts = "".join(element(name, values) for name, values in found.items())
    return f'<rdf:Description xmlns:rdf="{RDF}" rdf:about={quoteattr(about)}{spaces}>{texts}</rdf:Description>'


def element(name: str, texts: list[str]) -> str:
    kind = CONTAINERS.get(name)
    if kind is None:
        return f"<{name}>{escape('; '.join(texts))}</{name}>"
    language = ' xml:lang="x-default"' if kind == "Alt" else ""
    texts = ["\n".join(texts)] if kind == "Alt" else texts
    items = "".join(f"<rdf:li{language}>{escape(text)}</rdf:li>" for text in texts)
    return f"<{name}><rdf:{kind}>{items}</rdf:{kind}></{name}>"


def properties(xmp: bytes) -> tuple[Properties, str] | None:
    """What a packet says under the names of NAMESPACES, and of what; None where it is damaged or not in UTF-8."""
    if b"<!" in xmp.replace(b"<!--", b"") or b"\0" in xmp or OTHER_CODE.match(xmp):  # a DTD, which XMP does not use
        return None
    try:
        root = ElementTree.fromstring(xmp.strip())
    except (ElementTree.ParseError, ValueError, LookupError):
        return None
    prefixes = {space: prefix for prefix, space in NAMESPACES.items()}
    found: Properties = {}
    about = ""
    for part in root.iter(f"{{{RDF}}}Description"):
        about = about or part.get(f"{{{RDF}}}about", "")
        said = [(name, [text]) for name, text in part.items()]
        said += [(each.tag, texts_of(each)) for each in part]
        for name, texts in said:
            space, _, local = name.rpartition("}")
            if prefix := prefixes.get(space[1:]):
                found.setdefault(f"{prefix}:{local}", texts)
    return found, about


def texts_of(element: ElementTree.Element) -> list[str]:
    """The texts of a property; of a text in several languages those that differ."""
    items = list(element.iter(f"{{{RDF}}}li"))
    return [item.text or "" for item in items] if items else [element.text or ""]
