"""A web service that codes pictures: an ASGI app, with worker processes behind it."""

from vaecodec.service.settings import Settings

__all__ = ["Settings"]
