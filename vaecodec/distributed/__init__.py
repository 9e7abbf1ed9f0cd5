"""Many files on many machines: a worker for engines that exist."""

from vaecodec.distributed.worker import COLUMNS, Worker
from vaecodec.jobs import Decode, Encode, Features

__all__ = ["COLUMNS", "Decode", "Encode", "Features", "Worker"]
