"""Real servers on the loopback, for files by URL: S3 by moto, HTTP by nginx, SFTP by OpenSSH."""

from __future__ import annotations

import getpass
import importlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NGINX = """
{user}
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{}}
http {{
  log_format sent '$request_method $uri $bytes_sent'; access_log {folder}/sent sent;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {config}
}}
"""
FILES = "server {{ listen 127.0.0.1:{port}; root {root}; location /whole/ {{ alias {root}/; max_ranges 0; }} }}"
SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
StrictModes no
UsePAM no
PidFile {folder}/sshd.pid
Subsystem sftp internal-sftp
"""


def needed(name: str, found: object) -> None:
    """Skips the test where something is not there, or fails it where it must be, as in CI."""
    if not found:
        reason = f"this is tested with what others made, and there is no {name}"
        pytest.fail(reason) if os.environ.get("VAECODEC_NEED_SERVERS") else pytest.skip(reason, allow_module_level=True)


def modules(*names: str) -> None:
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            needed(name, None)


def program(name: str) -> str:
    path = shutil.which(name, path=os.environ["PATH"] + os.pathsep + "/usr/sbin")
    needed(name, path)
    return str(path)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def running(port: int, *command: str | Path) -> Iterator[None]:
    """A server, from when it answers at a port of the loopback."""
    log = tempfile.TemporaryFile()  # noqa: SIM115 (no pipe: sessions of sshd would hold it)
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(600):
            if process.poll() is not None:
                log.seek(0)
                raise RuntimeError(f"{command[0]} ended: {log.read().decode()}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()
        log.close()


@contextmanager
def s3(environment: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty bucket; the environment says where it is, to this process and to those that it starts."""
    modules("s3fs", "moto.server")
    import s3fs

    port = free_port()
    names = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in (names | {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}).items():
        environment.setenv(name, value)
    with running(port, sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)):
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("bucket")
        yield "s3://bucket"


@contextmanager
def http(folder: Path, root: Path) -> Iterator[str]:
    """The URL of `root`; under whole/ without ranges. A line for each request is in `folder`/sent."""
    modules("fsspec", "aiohttp")
    port = free_port()
    with nginx(folder, port, FILES.format(port=port, root=root)):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def nginx(folder: Path, port: int, config: str) -> Iterator[None]:
    """With what stands in `http`, from when it answers at the port."""
    user = "user root;" if os.getuid() == 0 else ""
    path = folder / "nginx.conf"
    path.write_text(NGINX.format(folder=folder, config=config, user=user))
    with running(port, program("nginx"), "-e", folder / "error.log", "-c", path):
        yield


def sent(folder: Path) -> int:
    """Bytes that nginx has sent since it was asked last, headers included."""
    time.sleep(0.1)  # it writes the line once all has gone
    lines = (folder / "sent").read_text().split("\n")[:-1]
    (folder / "sent").write_bytes(b"")
    return sum(int(line.split()[-1]) for line in lines)


@contextmanager
def sftp(environment: pytest.MonkeyPatch, folder: Path, root: Path) -> Iterator[str]:
    """The URL of `root`; the environment has the key, for this process and those that it starts."""
    modules("fsspec", "paramiko")
    from fsspec.config import conf

    sshd, port, config = program("sshd"), free_port(), folder / "sshd.conf"
    for name in ("host", "user"):
        subprocess.run([program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    config.write_text(SSHD.format(folder=folder, port=port))
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    environment.setenv("FSSPEC_SFTP_KEY_FILENAME", str(folder / "user"))
    environment.setitem(conf, "sftp", {"key_filename": str(folder / "user")})
    with running(port, sshd, "-D", "-e", "-f", config):
        yield f"sftp://{getpass.getuser()}@127.0.0.1:{port}{root}"
