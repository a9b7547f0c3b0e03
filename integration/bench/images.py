"""The registry that all tools push to, and the base images in it."""

import os
import shutil
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

from measured import Daemon, run

PROJECT = Path(__file__).parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target"))


class Registry:
    """Debian's docker-registry on loopback."""

    def __init__(self, work):
        self.work, self.storage = work, work / "storage"

    def __enter__(self):
        if not shutil.which("docker-registry"):
            sys.exit("bench: needs docker-registry; integration/setup installs it")
        self.work.mkdir(parents=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.host = f"127.0.0.1:{port}"
        configuration = self.work / "registry.yml"
        configuration.write_text(
            "version: 0.1\n"
            "log: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {self.storage}}}, delete: {{enabled: true}}}}\n"
            f'http: {{addr: "{self.host}"}}\n')
        self.daemon = Daemon(["docker-registry", "serve", configuration], self.work / "registry.log")
        self.daemon.wait_for(lambda: answers(port))
        return self

    def __exit__(self, *_):
        self.daemon.stop()

    def stored_bytes(self):
        """Of all blobs: what a push adds is what had to be sent."""
        blobs = self.storage / "docker/registry/v2/blobs"
        return sum(data.stat().st_size for data in blobs.rglob("data"))

    def clear(self):
        """Forgets all images; the server keeps nothing in memory."""
        shutil.rmtree(self.storage, ignore_errors=True)

    def push_tar(self, flashbuild, archive, name, environment="PATH=/usr/local/bin:/usr/bin:/bin"):
        """An image of one layer, from a tar file."""
        context = self.work / f"context-{name}"
        context.mkdir()
        link_or_copy(archive, context / "base.tar")
        (context / "Dockerfile").write_text(f"FROM scratch\nADD base.tar /\nENV {environment}\n")
        reference = f"{self.host}/{name}:base"
        run([flashbuild.binary, "build", "--root", self.work / "store", "--progress", "quiet", "--push",
             "-o", f"type=registry,name={reference},oci-mediatypes=false", context])
        shutil.rmtree(context)
        return reference


def link_or_copy(source, target):
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def answers(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def busybox_tar(path):
    """A root file system of busybox alone."""
    busybox = TARGET / "tmp/busybox" / f"busybox-{architecture()}"
    if not busybox.exists():
        sys.exit("bench: there is no busybox; integration/setup fetches it")
    with tarfile.open(path, "w") as archive:
        archive.add(busybox, "bin/busybox")
        for name in ("sh", "sleep"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    return path


def debian_tar(*packages):
    """A root file system of Debian packages, unpacked once for all runs."""
    path = TARGET / "tmp/bench" / f"{'-'.join(packages)}-{architecture()}.tar"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        run([PROJECT / "integration/debian-tar", architecture(), path, *packages])
    return path


def architecture():
    return subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
