"""The files of a site that shows `.vaec` pictures: any web server can serve them, and `vaecodec view` does.

index.html           the viewer
vaec/                the decoder, its model, img.js, service-worker.js and what the page needs
photo.vaec, ...      the pictures
"""

from __future__ import annotations

import html
import re
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from vaecodec import files
from vaecodec.errors import VaecError

HERE = Path(__file__).parent
PARTS = ("*.js", "*.wasm", "viewer/*.js", "viewer/*.css", "viewer/*.svg")
FOLDER = "vaec"  # of what belongs to every site
PAGE = "index.html"
ORIGINALS = frozenset({".png", ".jpg", ".jpeg", ".avif", ".webp", ".gif"})  # what browsers read
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".gz": "application/octet-stream",  # as it is: the page unpacks it
    ".vaec": "image/vaec",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".avif": "image/avif",
    ".webp": "image/webp",
    ".gif": "image/gif",
}

COMMENT = re.compile(r"^[ ]*(/\*\*.*?\*/|//[^\n]*)\n", re.MULTILINE | re.DOTALL)

Content = Path | bytes
Site = dict[str, Content]  # by the path in the site, / between names


def site(pictures: Iterable[Path], present: Mapping[str, str | None] | None = None, alive: str | None = None) -> Site:
    """All files of a site. Raises: VaecError; OSError where a picture cannot be read.

    pictures: `.vaec` files, and pictures that browsers read, each to compare with the `.vaec` file of its name, or else
    with the one ahead of it. present, alive: of `page`, for what is in the site already.
    """
    names: dict[str, Content] = {}
    beside: list[tuple[Path, str, str | None]] = []  # what is compared: its path, its name, the .vaec file ahead
    coded: list[str] = []
    for path in pictures:
        check(path)
        name = free_name(path, names)
        names[name] = files.read(path) if path == files.STREAM else path
        if is_original(path):
            beside.append((path, name, coded[-1] if coded else None))
        else:
            coded.append(name)
    shown = {**(present or {}), **dict.fromkeys(coded)}
    for path, name, ahead in beside:
        same = next((one for one in shown if Path(one).stem == path.stem), ahead or next(iter(shown), None))
        if same is None:
            raise VaecError(f"there is no .vaec file to compare {path} with")
        shown[same] = name
    return {PAGE: page(shown, alive)} | parts() | names


def check(path: Path) -> None:
    """Raises: VaecError for what is no picture here, OSError for what cannot be read: or the page would tell first."""
    if path == files.STREAM:
        return
    if path.suffix.lower() not in ORIGINALS | {".vaec"}:
        raise VaecError(f"{path} is neither a .vaec file nor a picture that browsers read")
    path.open("rb").close()


def is_original(path: Path) -> bool:
    """By its name."""
    return path.suffix.lower() in ORIGINALS


def free_name(path: Path, taken: Container[str]) -> str:
    """The name of a file in the site: photo.vaec, photo-2.vaec, ..."""
    path = Path("stdin.vaec") if path == files.STREAM else path
    name, n = path.name, 1
    while name in taken:
        n += 1
        name = f"{path.stem}-{n}{path.suffix}"
    return name


def parts() -> Site:
    """The decoder with its model, and what the page needs; scripts without their comments, a fifth of what is sent."""
    from vaecodec.web.packing import packed

    found: Site = {f"{FOLDER}/model.gz": packed()}
    for path in (path for part in PARTS for path in sorted(HERE.glob(part))):
        script = path.suffix == ".js"
        found[f"{FOLDER}/{path.relative_to(HERE).as_posix()}"] = bare(path.read_text("utf-8")) if script else path
    return found


def bare(script: str) -> bytes:
    """A script without the comments that have lines of their own; there is no such line within a text of ours."""
    return COMMENT.sub("", script).encode()


def page(originals: Mapping[str, str | None], alive: str | None = None) -> bytes:
    """The viewer with links to pictures; of each the path of what it is compared with.

    alive: the address at which a server learns that the page is still open.
    """
    text = (HERE / "viewer" / PAGE).read_text("utf-8")
    text = re.sub(r'(src|href)="\./', rf'\1="{FOLDER}/viewer/', text)
    links = []
    for name, original in originals.items():
        beside = f' data-original="{quote(original)}"' if original else ""
        links.append(f'<li><a href="{quote(name)}"{beside}>{html.escape(name)}</a></li>')
    text = text.replace("<!-- files -->", "\n".join(links))
    if alive:
        text = text.replace("<html ", f'<html data-alive="{alive}" ', 1)
    return text.encode()


def write(folder: Path, pictures: Iterable[Path], force: bool) -> list[str]:
    """Write a site into a folder, for the `.vaec` files that are there already too, and return its paths.

    Raises: VaecError; OSError; FileExistsError, before anything is written, where a file is there and not `force`.
    """
    present = listed(folder)
    inside = {(folder / name).resolve() for names in present.items() for name in names if name}
    made = site([path for path in pictures if path.resolve() not in inside], present)
    for name in made:
        if (folder / name).parent.is_dir():
            files.check_target(folder / name, files.STREAM, force)
    for name, content in made.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            files.write(target, content, files.STREAM, force)
        else:
            with content.open("rb") as source:
                files.write(target, source, content, force)
    return list(made)


def listed(folder: Path) -> dict[str, str | None]:
    """The `.vaec` files in a folder, and of each a picture of the same name that it can be compared with."""
    found: dict[str, str | None] = {}
    for path in sorted(folder.rglob("*.vaec")):
        beside = (path.with_suffix(ending) for ending in sorted(ORIGINALS))
        original = next((one.relative_to(folder).as_posix() for one in beside if one.is_file()), None)
        found[path.relative_to(folder).as_posix()] = original
    return found
