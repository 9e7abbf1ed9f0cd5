"""Many files on many machines: a worker for engines that exist."""

from vaecodec.distributed.folder import CODED, WRITTEN, missing
from vaecodec.distributed.shards import Shard
from vaecodec.distributed.worker import COLUMNS, Worker
from vaecodec.distributed.writing import Files
from vaecodec.jobs import Decode, Encode, Features

__all__ = ["CODED", "COLUMNS", "WRITTEN", "Decode", "Encode", "Features", "Files", "Shard", "Worker", "missing"]
