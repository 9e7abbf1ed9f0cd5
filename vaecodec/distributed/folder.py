"""From a folder to a folder on any engine: which files are to be done, for `Files` to do them."""

from __future__ import annotations

import os
from pathlib import Path

from vaecodec.arguments import as_path
from vaecodec.distributed.names import Job, absolute, found_in, listed
from vaecodec.jobs import Work
from vaecodec.trees import place_in

# The types of the columns in Spark's words: of what `Files` gives, and of what `Worker` does.
WRITTEN = (
    "path string, output string, error string, code int, width int, height int, "
    "input_size long, output_size long, seconds double, notes string"
)
CODED = f"{WRITTEN}, bytes binary"


def missing(
    source: str | os.PathLike[str], target: str | os.PathLike[str], work: Work, ending: str | None = None
) -> list[Job]:
    """The files of a folder that have no output in another one yet, in order, with the names of these outputs.

    Names are as of `vaecodec encode -r SOURCE --out-dir TARGET`, absolute or URLs. Outputs appear whole, so after an
    interruption the same again gives what is left to do.

    Args:
        source, target: folders that all workers reach: URLs, or paths on a disk that they share.
        work: what is done to the files; it says which endings it takes. ending: of outputs, if not the work's.

    Raises: VaecError where there is no such folder, or two files would become one; OSError.
    """
    origin, end = absolute(as_path(source)), absolute(as_path(target))

    def output(path: Path) -> str:
        return str(end / place_in(origin, path).with_suffix(ending or work.ending))

    return listed(origin, work.takes, output, found_in(end)).jobs
