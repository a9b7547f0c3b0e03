#!/usr/bin/env python3
"""usage: integration/bench/optimize.py FLASHBUILD [IMAGE…] [--large-megabytes N]

Builds several images, and says of each what analyze, slim and split come to: bytes before and after each pass, layers, scores,
how the image ended when it was started before and after, what is left when it was observed, and what a changed line pushes if the image is one layer, and split. At
last, what slim and split of a large image cost, beside compressing the same bytes again.

Packages come from the sources that apt is configured for, by `DEPS apt`; each image then copies them as one layer, as a
`RUN apt-get install` would have left them. Without names, all images are built.
"""

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from images import TARGET
from measured import run

MEGABYTE = 1_000_000
# How a program ends that works.
WELL = ("ended with exit code 0", "was healthy")
EPOCH = {"SOURCE_DATE_EPOCH": "1700000000"}

ONE_LAYER = "FROM scratch AS packages\nDEPS apt {packages}\nFROM scratch AS image\nCOPY --from=packages / /\n" \
    "ENV PATH=/usr/local/bin:/usr/bin:/usr/sbin PYTHONPATH=/opt/site\n"

# The same image in one layer, in which everything changes with a line.
SQUASHED = "FROM scratch\nCOPY --from=image / /\n"

PASSWD = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/bin/sh\npostgres:x:70:70::/var/lib/postgresql:/bin/sh\n"

# Packages of Debian, the rest of the Dockerfile, the files of the context, and the file in which a line changes.
IMAGES = {
    "python": ("python3 python3-flask python3-numpy python3-requests dash coreutils",
               'COPY app /app\nCMD ["python3", "/app/app.py"]\n',
               {"app/app.py": "import flask, numpy, requests\nprint(numpy.zeros(3).sum(), flask.__name__)\n"}, "app/app.py"),
    "node": ("nodejs node-express dash coreutils",
             'COPY app /app\nENV NODE_PATH=/usr/share/nodejs\nCMD ["node", "/app/app.js"]\n',
             {"app/app.js": "const express = require('express')\nconsole.log(typeof express())\n"}, "app/app.js"),
    "nginx": ("nginx-light dash coreutils",
              'COPY etc /etc/\nCOPY www /var/www/html/\nCMD ["nginx", "-t"]\n',
              {"etc/passwd": PASSWD, "etc/group": "root:x:0:\nwww-data:x:33:\n", "www/index.html": "<p>hello\n"}, "www/index.html"),
    "postgresql": ("postgresql-15 dash coreutils",
                   'COPY etc /etc/\nCOPY --chmod=755 app /app\nENV PATH=/usr/lib/postgresql/15/bin:/usr/bin PGDATA=/dev/shm/data\n'
                   'USER postgres\nHEALTHCHECK CMD psql -h /dev/shm -p 54329 -c "select 1" postgres\nCMD ["/bin/sh", "/app/start"]\n',
                   {"etc/passwd": PASSWD, "etc/group": "root:x:0:\n",
                    "app/start": "initdb -A trust >/dev/null && exec postgres -p 54329 -k /dev/shm\n"}, "app/start"),
    "fastapi": ("python3 python3-fastapi python3-uvicorn dash coreutils",
                'COPY app /app\nWORKDIR /app\nHEALTHCHECK CMD python3 /app/ask.py\n'
                'CMD ["python3", "-m", "uvicorn", "--port", "54330", "app:app"]\n',
                {"app/app.py": "import fastapi\napp = fastapi.FastAPI()\n@app.get('/')\ndef root(): return {'hello': 'world'}\n",
                 "app/ask.py": "from urllib.request import urlopen\nassert b'world' in urlopen('http://127.0.0.1:54330/').read()\n"},
                "app/app.py"),
    "python-ml": ("python3 python3-sklearn dash coreutils",
                  'COPY app /app\nCMD ["python3", "/app/app.py"]\n',
                  {"app/app.py": "from sklearn.linear_model import LinearRegression\n"
                                 "print(LinearRegression().fit([[0], [1]], [0, 1]).predict([[2]]))\n"}, "app/app.py"),
    "go": ("golang-go dash coreutils",
           'COPY src /src\nENV GOCACHE=/root/.cache/go-build GO111MODULE=off\nRUN go build -o /app /src/main.go\nCMD ["/app"]\n',
           {"src/main.go": 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hello") }\n'}, "src/main.go"),
    "c-build-left-in": ("gcc libc6-dev dash coreutils",
                        'COPY src /src\nRUN gcc -g -c -o /src/main.o /src/main.c && gcc -o /src/main /src/main.o\nCMD ["/src/main"]\n',
                        {"src/main.c": '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'}, "src/main.c"),
    "badly-ordered": ("python3 python3-pip libstdc++6 dash coreutils",
                      # Byte code has the time of its source in it, and pip gives sources the time at which it runs.
                      "COPY . /app\nRUN cp /app/app.py /opt.py && python3 -m pip install --quiet --no-compile --no-index --no-deps --no-cache-dir "
                      "--target /opt/site /app/wheels/*.whl && rm -rf /app/wheels && ls -R / > /var/log/listing\n"
                      'CMD ["python3", "/app/app.py"]\n',
                      {"app.py": "import fastapi, regex, zmq\nprint(zmq.zmq_version(), fastapi.FastAPI().title)\n"}, "app.py"),
}


class Flashbuild:
    def __init__(self, binary, work):
        self.binary, self.store = binary, work / "store"

    def command(self, verb, *arguments):
        return [self.binary, verb, "--root", self.store, *arguments]

    def run(self, verb, *arguments):
        return run(self.command(verb, *arguments), EPOCH)

    def json(self, verb, *arguments):
        command = self.command(verb, "--format", "json", *arguments)
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            sys.exit(f"optimize: {' '.join(map(str, command))}: exit code {result.returncode}\n{result.stderr}")
        return json.loads(result.stdout)

    def build(self, context, name, *arguments):
        return self.run("build", "--progress", "quiet", "--split=off", "-t", name, *arguments, context)

    def layers(self, name):
        """Bytes of each blob by its digest."""
        image = self.json("inspect", name)["images"][0]
        return {layer["digest"]: layer["size"] for layer in image["layers"]}


def main():
    arguments = argparse.ArgumentParser(usage=__doc__.splitlines()[0].removeprefix("usage: "))
    arguments.add_argument("flashbuild")
    arguments.add_argument("images", nargs="*")
    arguments.add_argument("--large-megabytes", type=int, default=2000)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="flashbuild-optimize-") as folder:
        work = Path(folder)
        flashbuild = Flashbuild(Path(given.flashbuild).resolve(), work)
        savings = []
        for name in given.images or IMAGES:
            context = write_context(work, name)
            if context:
                savings.append(one(flashbuild, name, context))
                line(flashbuild, name, context)
        if savings:
            of_passes, of_observation = (statistics.median(column) for column in zip(*savings))
            print(f"median saving of all passes: {of_passes:.0%} of the compressed bytes; with observation {of_observation:.0%}\n")
        if given.large_megabytes:
            large(flashbuild, work, given.large_megabytes)


def write_context(work, name):
    packages, rest, files, _ = IMAGES[name]
    context = work / name
    for path, text in files.items():
        (context / path).parent.mkdir(parents=True, exist_ok=True)
        (context / path).write_text(text)
    dockerfile = ONE_LAYER.format(packages=packages) + rest
    (context / "Dockerfile").write_text(dockerfile)
    (work / f"{name}.squashed").write_text(dockerfile + SQUASHED)
    if "wheels" in rest:
        wheels = TARGET / "tmp/wheels/x86_64"
        if not wheels.exists():
            print(f"optimize: {name} is left out: integration/setup fetches the wheels", file=sys.stderr)
            return None
        shutil.copytree(wheels, context / "wheels")
    return context


def one(flashbuild, name, context):
    """Rewrites one image in every way; returns which part of its compressed bytes all passes save, and with them observation."""
    flashbuild.build(context, name)
    analysis = flashbuild.json("analyze", name)
    print(f"{name}: {megabytes(analysis['bytes'])} in files, {megabytes(analysis['compressed'])} compressed, "
          f"{len(analysis['layers'])} layers, {len(analysis['packages'])} packages; score {analysis['score']:.1%}, "
          f"dive {analysis['efficiency']:.1%}")
    patience = smoke_time(name)
    proven = flashbuild.json("slim", "--base", *patience, "-t", f"{name}-proven", name)[0]
    slim = flashbuild.json("slim", "--base", *patience, "--passes", "all", "-t", f"{name}-slim", name)[0]
    for saving in slim["savings"]:
        if saving["files"]:
            print(f"    {saving['pass']:<12} {megabytes(saving['bytes']):>10} in {saving['files']} files")
    end = slim["proofs"][0]["end"]
    if end not in WELL:
        sys.exit(f"optimize: {name} {end}: what does not work shows nothing")
    before = slim["compressed_before"]
    for title, report in (("proven", proven), ("all", slim)):
        after = report["compressed_after"]
        print(f"    {title + ' passes':<14} {megabytes(before)} -> {megabytes(after)} compressed ({1 - after / before:.1%} less)"
              f"; {report['proofs'][0]['end']}, before and after")
    split = flashbuild.json("split", "--base", *patience, "--from", "1000000", "-t", f"{name}-split", name)[0]
    print(f"    split         {split['layers_before']} -> {split['layers_after']} layers, "
          f"{megabytes(split['compressed_after'])} compressed; {split['proofs'][0]['end']}, before and after")
    return 1 - slim["compressed_after"] / before, observed(flashbuild, name, before)


def smoke_time(name):
    """A service that says when it is well may take its time until then."""
    return ("--smoke-time", "90") if "HEALTHCHECK" in IMAGES[name][1] else ()


def observed(flashbuild, name, before):
    """What is left of an image that was run, and whether the rest brings it back; returns the part that is saved."""
    report = flashbuild.json("slim", "--base", *smoke_time(name), "--passes", "all", "-t", f"{name}-observed", name,
                             "--observe")[0]
    dropped, after = report["dropped"], report["compressed_after"]
    flashbuild.run("slim", "--restore", f"{name}-observed", "-t", f"{name}-restored")
    difference = subprocess.run(flashbuild.command("diff", "--semantic", name, f"{name}-restored"), stdin=subprocess.DEVNULL,
                                capture_output=True, check=False)
    restored = "restored alike" if difference.returncode == 0 else "NOT RESTORED"
    print(f"    observed      {megabytes(before)} -> {megabytes(after)} compressed ({1 - after / before:.1%} less), "
          f"{len(dropped['packages'])} packages not asked for; {report['proofs'][0]['end']}, before and after; {restored}")
    return 1 - after / before


def line(flashbuild, name, context):
    """What a changed line pushes."""
    squashed = ("-f", f"{context}.squashed")
    layers = []
    for version in ("before", "after"):
        image = f"{name}-{version}"
        flashbuild.build(context, image, *squashed)
        flashbuild.run("split", "--base", "--no-smoke", "--from", "1000000", "-t", f"{image}-split", image)
        layers.append((flashbuild.layers(image), flashbuild.layers(f"{image}-split")))
        changed = context / IMAGES[name][3]
        comment = {".js": "//", ".c": "//", ".go": "//", ".html": "<!-- -->"}.get(changed.suffix, "#")
        changed.write_text(f"{changed.read_text()}{comment} a changed line\n")
    whole, split = (new_bytes(after, before) for before, after in zip(*layers))
    print(f"    a changed line pushes {whole / 1000:.1f} kB of the image in one layer, {split / 1000:.1f} kB of it split "
          f"({1 - split / whole:.2%} less)\n")


def new_bytes(layers, known):
    return sum(size for digest, size in layers.items() if digest not in known)


def large(flashbuild, work, total):
    """What it costs to rewrite a layer of so many megabytes: packages of 10 MB that compress to a half."""
    generator = random.Random(1)
    context = work / "large"
    for number in range(max(total // 10, 1)):
        package = context / "site" / f"package{number}"
        package.mkdir(parents=True)
        for part in range(10):
            noise = generator.randbytes(MEGABYTE // 2)
            (package / f"{part}.bin").write_bytes(noise + bytes(MEGABYTE // 2))
        info = context / "site" / f"package{number}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: package{number}\nVersion: 1\n")
        (info / "RECORD").write_text("".join(f"package{number}/{part}.bin,,\n" for part in range(10)))
    (context / "Dockerfile").write_text("FROM scratch\nCOPY site /opt/site/\nCOPY site/package0 /opt/site/package0/\n")
    flashbuild.build(context, "large")
    layout = work / "again"
    again = flashbuild.run("build", "--progress", "quiet", "--split=off", "-o",
                           f"type=oci,tar=false,dest={layout},compression=gzip,compression-level=5,force-compression=true", context)
    print(f"an image of {total} MB:")
    for title, cost in (
        ("compress again", again),
        ("split", flashbuild.run("split", "--base", "--no-smoke", "-t", "large-split", "large")),
        ("slim", flashbuild.run("slim", "--base", "--no-smoke", "-t", "large-slim", "large")),
        ("analyze", flashbuild.run("analyze", "large")),
    ):
        print(f"    {title:<15} {cost.seconds:7.1f} s, {cost.cpu_seconds:7.1f} s of processors, "
              f"{cost.peak_bytes / MEGABYTE:6.0f} MB of memory at most")


def megabytes(count):
    return f"{count / MEGABYTE:.1f} MB"


if __name__ == "__main__":
    main()
