"""Projects that share packages: what the registry and the store hold of them, beside images of one layer each.

Once the packages alone, and once images that run, with Python from packages too.
"""

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
        whole, _, all_layers = self.build_all(binary, single, ["--split=off"])
        cost, artifacts, stored = self.build_all(binary, layered, [])
        less = 100 * (1 - stored / all_layers)
        report.add(title, [(Flashbuild, [cost])], 1, [
                   f"registry holds {stored / 1e6:.0f} MB, of one layer each {all_layers / 1e6:.0f} MB ({less:.0f} % less); "
                   f"blobs of the store {artifacts / 1e6:.0f} MB; one layer each took {whole.seconds:.1f} s"])

    def build_all(self, binary, dockerfile, options):
        """The cost of all projects, and how many bytes store and registry then hold of them."""
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
            artifacts = sum(blob.stat().st_size for blob in (tool.store / "blobs").rglob("*") if blob.is_file())
            total.sent_bytes = registry.stored_bytes()
            tool.forget()
            return total, artifacts, total.sent_bytes
