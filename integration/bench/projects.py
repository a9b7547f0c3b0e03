"""Projects that share packages: what the registry and the store hold of them, beside images of one layer each.

A registry holds compressed layers; dockerd with its own storage holds them unpacked, containerd and BuildKit both. So the store is set beside
each of the three sums. Once the packages alone, and once images that run, with Python from packages too.
"""

import subprocess
import tarfile

from images import Registry
from locks import entries, lock
from measured import Cost
from peers import Flashbuild
from workload import Workload

PROJECTS = [
    "fastapi uvicorn sqlalchemy httpx",
    "fastapi uvicorn pandas",
    "fastapi uvicorn numpy scikit-learn",
    "flask gunicorn requests sqlalchemy",
    "flask gunicorn pandas requests",
    "fastapi uvicorn boto3 sqlalchemy",
    "pandas scikit-learn boto3",
    "fastapi uvicorn pandas boto3",
    "flask pandas scikit-learn requests",
    "fastapi uvicorn pandas scikit-learn sqlalchemy boto3",
]
QUICK_PROJECTS = ["fastapi uvicorn", "fastapi httpx", "flask requests"]
PYTHON = "DEPS apt --no-docs python3\n"
PACKAGES = "DEPS python --python=/usr/bin/python3.11 requirements.txt\n"


class Projects(Workload):
    name, title = "projects", "images that share packages"

    def measure(self, tools, report):
        self.projects = QUICK_PROJECTS if self.quick else PROJECTS
        together = lock(sorted({package for project in self.projects for package in project.split()}), [])
        # With its marker: a package may have one version for some Pythons and one for others.
        pins = [entry.splitlines()[0].rstrip(" \\") for entry in entries(together)]
        self.locks = [lock(project.split(), pins) for project in self.projects]
        for kind, deps in (("packages alone", PACKAGES), ("with Python", PYTHON + PACKAGES)):
            title = f"{self.name} {len(self.projects)} {self.title}, {kind}"
            self.compare_layers(title, tools[0].binary, deps, report)

    def compare_layers(self, title, binary, deps, report):
        layered = f"FROM scratch\n{deps}COPY main.py /app/\n"
        single = f"FROM scratch AS all\n{deps}COPY main.py /app/\nFROM scratch\nCOPY --from=all / /\n"
        whole = self.build_all(binary, single, ["--split=off"])
        ours = self.build_all(binary, layered, [])
        store = ", ".join(f"{less(ours.store, size)} than {kind}" for kind, size in (
            ("compressed", whole.pushed), ("unpacked", whole.unpacked), ("both", whole.pushed + whole.unpacked)))
        report.add(title, [(Flashbuild, [ours.cost])], 1, [
                   f"registry {megabytes(ours.pushed)} ({less(ours.pushed, whole.pushed)} than images of one layer each: "
                   f"{megabytes(whole.pushed)} compressed, {megabytes(whole.unpacked)} unpacked); whole store, by du, "
                   f"{megabytes(ours.store)}: {store}; one layer each took {whole.cost.seconds:.1f} s"])

    def build_all(self, binary, dockerfile, options):
        self.number = getattr(self, "number", 0) + 1
        work = self.work / f"round-{self.number}"
        with Registry(work / "registry") as registry:
            tool = Flashbuild(binary, work / "store")
            total = Cost()
            for number, locked in enumerate(self.locks):
                context = work / f"project-{number}"
                context.mkdir()
                (context / "Dockerfile").write_text(dockerfile)
                (context / "requirements.txt").write_text(locked)
                (context / "main.py").write_text(f"print({number})\n")
                total = total.then(tool.build(context, f"{registry.host}/project-{number}:latest", "host",
                                              ["--allow", "network.host", *options]))
            built = Built(total, registry, tool.store)
            total.sent_bytes = built.pushed
            tool.forget()
            return built


class Built:
    """What images cost, and what is held of them then: bytes."""

    def __init__(self, cost, registry, store):
        self.cost, self.pushed, self.store = cost, registry.stored_bytes(), du(store)
        # Of files alone: a file takes whole blocks on a disk, and folders take some too.
        self.unpacked = sum(unpacked_bytes(data) for data in registry.storage.rglob("blobs/**/data"))


def unpacked_bytes(blob):
    """Of the files in a blob; 0 if it is no layer."""
    try:
        with tarfile.open(blob) as archive:
            return sum(member.size for member in archive)
    except tarfile.ReadError:
        return 0


def du(folder):
    done = subprocess.run(["du", "-s", "-B1", folder], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


def less(part, whole):
    return f"{100 * (1 - part / whole):.1f} % less"


def megabytes(size):
    return f"{size / 1e6:.0f} MB"
