"""The examples of docs/guide/service.md, as they stand there but for their ports."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests import servers
from tests.commands import SAMPLE
from tests.service.serving import ROOT, Asking, Service, picture, serving, wait_for

PAGE = (ROOT / "docs" / "guide" / "service.md").read_text()
SMALL = picture(120, 90)


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)
    assert found
    return found[1]


def test_commands(tmp_path: Path) -> None:
    servers.program("curl")
    shutil.copy(SAMPLE, tmp_path / "photo.png")
    commands = re.findall(r"^    (curl .*)$", PAGE, re.M)
    assert len(commands) == 4
    with serving("--processes", 1) as service:
        for command in commands:
            here = command.replace(":8000", f":{service.port}")
            subprocess.run(here, shell=True, check=True, cwd=tmp_path, capture_output=True)
    assert Image.open(tmp_path / "photo.webp").size == (768, 512)
    assert Image.open(tmp_path / "small.jpg").size == (200, 133)


def test_app_of_your_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app.py").write_text(block("py"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    port = servers.free_port()
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(tmp_path), "app:app", "--port", str(port)]
    with servers.running(port, *command):
        service = Service(None, port)
        wait_for(lambda: service.ask("GET", "/pictures/ready").status == 200)
        coded = service.post("/pictures/encode", SMALL)
        assert coded.status == 200 and service.post("/pictures/info", coded.body).json["width"] == 120
        assert service.ask("GET", "/encode").status == 404


def test_behind_nginx(tmp_path: Path) -> None:
    """What one service refuses, the other does; what both refuse is refused."""
    port = servers.free_port()
    options = ("--processes", 1, "--queue", 0)
    with serving(*options) as first, serving(*options) as second:
        config = block("nginx").replace("listen 8080", f"listen 127.0.0.1:{port}")
        config = config.replace(":8000", f":{first.port}").replace(":8001", f":{second.port}")
        with servers.nginx(tmp_path, port, config):
            nginx = Service(None, port)
            coded = nginx.post("/encode", SMALL)
            assert coded.status == 200 and coded.headers["ETag"] and coded.headers["X-Content-Type-Options"]
            assert nginx.post("/decode", coded.body, Accept="image/webp").headers["Content-Type"] == "image/webp"
            assert nginx.post("/encode", b"nothing").json["status"] == 415
            assert nginx.ask("GET", "/metrics").status == 404
            with first.stopped():
                busy = Asking(first, "POST", "/encode", SMALL, {})
                first.until("processes_busy", 1)
                assert [nginx.post("/encode", SMALL).status for _ in range(4)] == [200] * 4
                with second.stopped():
                    full = Asking(second, "POST", "/encode", SMALL, {})
                    second.until("processes_busy", 1)
                    refused = nginx.post("/encode", SMALL)
                    assert refused.status == 503 and refused.headers["Retry-After"]
                assert full.answer().status == 200
            assert busy.answer().status == 200
