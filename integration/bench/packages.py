"""Packages of a lock: `DEPS python` beside `RUN pip install`, and for a foreign platform."""

import os
from pathlib import Path

from images import architecture, debian_tar
from locks import CHANGED, PACKAGES, QUICK_PACKAGES, entries, lock
from workload import COLD, Workload, put

# The same packages, listed the other way round, and other code.
ANOTHER_PROJECT = "another project"
# One of them in another version.
ONE_PACKAGE = "one package"


class Install(Workload):
    name, title = "W7", "pandas, scikit-learn, fastapi from a lock"
    network = "host"
    phases = (COLD, ANOTHER_PROJECT, ONE_PACKAGE)
    deps = "FROM {base}\nWORKDIR /app\nDEPS python --python=/usr/bin/python3.11 requirements.txt\nCOPY . .\n"
    pip = ("FROM {base}\nARG PIP_CERT=/app/authorities.crt PIP_INDEX_URL PIP_EXTRA_INDEX_URL\nWORKDIR /app\n"
           "COPY authorities.crt requirements.txt .\n"
           "RUN pip install --break-system-packages --no-cache-dir --root-user-action=ignore -r requirements.txt\nCOPY . .\n")

    def measure(self, tools, report):
        # What takes long is pip, the same in all peers: one of them is enough, and none to see that it works.
        super().measure(tools[: 1 if self.quick else 2], report)

    def prepare(self, flashbuild):
        packages = QUICK_PACKAGES if self.quick else PACKAGES
        self.locked = lock(packages, [])
        known = next(line for line in self.locked.splitlines() if line.startswith(f"{CHANGED}=="))
        self.changed = lock(packages, [f"{CHANGED}<{known.split('==')[1].split()[0]}"])
        self.base = self.push_base(flashbuild)
        self.write("requirements.txt", self.locked)
        self.write("main.py", "print('first')\n")

    def push_base(self, flashbuild):
        archive = debian_tar("base-files", "dash", "coreutils", "ca-certificates", "python3-pip")
        return self.bases.push_tar(flashbuild, archive, "python-pip")

    def own_context(self, tool):
        """Each has the spelling that it understands, and pip trusts whom it trusts on this machine."""
        context = super().own_context(tool)
        text = self.deps if tool.name == "flashbuild" else self.pip
        put(context / "Dockerfile", text.format(base=self.base))
        if tool.name != "flashbuild":
            trusted = os.environ.get("PIP_CERT", "/etc/ssl/certs/ca-certificates.crt")
            put(context / "authorities.crt", Path(trusted).read_text())
        return context

    def arguments(self, tool):
        """pip asks the index that it asks outside."""
        known = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")
        return {} if tool.name == "flashbuild" else {name: os.environ[name] for name in known if name in os.environ}

    def options(self, tool):
        return ["--allow", "network.host"] if tool.name == "flashbuild" else []

    def build(self, entrant, options=(), push=True):
        return super().build(entrant, [*options, *self.options(entrant.tool)], push)

    def compare(self, tools):
        """pip leaves byte code and more behind: the images are not the same, and need not be."""

    def step(self, phase, entrant):
        turned = "".join(reversed(entries(self.locked)))
        requirements = {COLD: self.locked, ANOTHER_PROJECT: turned, ONE_PACKAGE: self.changed}[phase]
        if phase == COLD:
            entrant.tool.forget()
            entrant.tool.results.clear()
            self.warm_base(entrant)
        entrant.changes += 1
        put(entrant.context / "requirements.txt", requirements)
        put(entrant.context / "main.py", f"print('{phase} {entrant.changes}')\n")
        return self.build(entrant)

    def warm_base(self, entrant):
        """The base is here and at the registry, and nothing else is."""
        folder = self.work / f"{entrant.tool.name}-base"
        folder.mkdir(exist_ok=True)
        put(folder / "Dockerfile", f"FROM {self.base}\nWORKDIR /app\n")
        entrant.tool.build(folder, self.reference(entrant.tool), "none")


class ForeignInstall(Install):
    """With its Python, from packages too: no base is needed, and nothing runs."""

    name, title = "W9", "the same for a foreign platform, with its Python"
    deps = ("FROM scratch\nDEPS apt --no-docs python3\nDEPS python --python=/usr/bin/python3.11 requirements.txt\n"
            "WORKDIR /app\nCOPY . .\n")
    without = dict.fromkeys(("buildah", "buildkit", "dockerd"), "minutes: pip under emulation")

    def push_base(self, flashbuild):
        return None

    def options(self, tool):
        foreign = "linux/amd64" if architecture() == "arm64" else "linux/arm64"
        return [*super().options(tool), "--platform", foreign]

    def warm_base(self, entrant):
        pass
