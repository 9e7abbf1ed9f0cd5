"""vaecodec, but a picture that is called deadly kills who codes it.

python -m tests.distributed.deadly encode-many ...
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from vaecodec.cli import main, many
from vaecodec.jobs import CodecOnDemand, Encode, Progress
from vaecodec.outcomes import Done


class Deadly(Encode):
    def encode(self, data: bytes | Path, target: Path, codec: CodecOnDemand, progress: Progress | None) -> Done:
        if "deadly" in target.name:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(data, target, codec, progress)


if __name__ == "__main__":
    setattr(many, "Encode", Deadly)  # noqa: B010 (for mypy)
    main(sys.argv[1:])
