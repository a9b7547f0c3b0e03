"""How the cost of a rebuild grows with its input.

What only looks must not grow faster than what it looks at; what is looked up must not grow with the store.
"""

import os
import statistics
import subprocess
import sys

from images import busybox_tar
from workload import NO_OP, ONE_CHANGE, Workload, put

COLD = "cold"
RUNS = 3
# Seconds.
LONG = 5


class Growth(Workload):
    """Points of one series; `sizes` grow, and `point` gives the seconds of each phase."""

    def measure(self, tools, report):
        flashbuild = tools[0]
        flashbuild.forget()
        for size in self.sizes[:2] if self.quick else self.sizes:
            print(f"bench: {self.name}: {size:,} {self.title}", file=sys.stderr)
            report.add_point(self.name, self.title, size, self.point(flashbuild, size))
        flashbuild.forget()

    def rebuilds(self, flashbuild, context, arguments=None, change=None):
        """The median of some rebuilds, each after `change`; of one, if that takes long."""
        seconds = []
        for number in range(RUNS):
            if change:
                change(number)
            seconds.append(self.once(flashbuild, context, arguments))
            if seconds[0] > LONG:
                break
        return statistics.median(seconds)

    def once(self, flashbuild, context, arguments=None):
        return flashbuild.build(context, self.name, arguments=arguments, push=False).seconds

    def busybox_context(self, name, text, stage=""):
        context = self.context / name
        context.mkdir()
        busybox_tar(context / "busybox")
        (context / "Dockerfile").write_text(f"FROM scratch{stage}\nADD busybox /\nENV PATH=/bin\n{text}")
        return context


class FilesGrow(Growth):
    """A context of so many files, one `COPY`."""

    name, title = "growth-files", "files in the context"
    sizes = (1_000, 10_000, 100_000, 500_000)

    def point(self, flashbuild, size):
        context = self.context / str(size)
        for folder in range(size // 1000):
            path = context / "tree" / f"{folder:03}"
            path.mkdir(parents=True)
            for number in range(1000):
                (path / f"{number:03}").write_text(f"file {folder} {number}\n" * 20)
        (context / "Dockerfile").write_text("FROM scratch\nCOPY tree /tree\n")
        cold = self.once(flashbuild, context)
        changed = self.rebuilds(flashbuild, context, change=lambda number: put(context / "tree/000/000", f"{number}\n"))
        return {COLD: cold, NO_OP: self.rebuilds(flashbuild, context), ONE_CHANGE: changed}


class StepsGrow(Growth):
    """A chain of so many `RUN`s."""

    name, title = "growth-steps", "steps in a chain"
    sizes = (10, 100, 1_000)

    def point(self, flashbuild, size):
        chain = "".join(f"RUN : {number}\n" for number in range(size))
        context = self.busybox_context(str(size), f"{chain}ARG last\nRUN : $last\n")
        cold = self.once(flashbuild, context)
        changed = []
        for number in range(RUNS):
            changed.append(self.once(flashbuild, context, {"last": number}))
        return {COLD: cold, NO_OP: self.rebuilds(flashbuild, context), ONE_CHANGE: statistics.median(changed)}


class StagesGrow(Growth):
    """So many stages beside each other, joined by the last."""

    name, title = "growth-stages", "stages beside each other"
    sizes = (1, 4, 16, 64)

    def point(self, flashbuild, size):
        text = "".join(f"FROM base AS s{number}\nRUN echo {number} >/out\n" for number in range(size))
        copies = "".join(f"COPY --from=s{number} /out /out{number}\n" for number in range(size))
        context = self.busybox_context(str(size), f"{text}FROM scratch\n{copies}", " AS base")
        return {COLD: self.once(flashbuild, context), NO_OP: self.rebuilds(flashbuild, context)}


class ImagesGrow(Growth):
    """A small image in a store of so many others, each with a layer and a step of its own."""

    name, title = "growth-images", "images in the store"
    sizes = (10, 100, 1_000, 10_000)

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.made = 0
        self.image = self.busybox_context("image", "ARG number\nRUN : $number\nCOPY busybox /copy\n")
        self.others = self.context / "others"
        self.others.mkdir()
        (self.others / "Dockerfile").write_text("FROM scratch\nARG number\nCOPY <<EOF /number\n$number\nEOF\n")

    def point(self, flashbuild, size):
        self.seed(flashbuild, size)
        changed = [self.once(flashbuild, self.image, {"number": f"{size}-{number}"}) for number in range(RUNS)]
        return {NO_OP: self.rebuilds(flashbuild, self.image, {"number": f"{size}-0"}), ONE_CHANGE: statistics.median(changed)}

    def seed(self, flashbuild, size):
        """In parallel: one after another, they would mostly wait for the disk."""
        script = ('seq "$1" "$2" | xargs -P "$3" -I NUMBER "$4" build --root "$5" --progress quiet --network none '
                  '-t image-NUMBER --build-arg number=NUMBER "$6"')
        command = ["sh", "-c", script, "seed", self.made + 1, size, 2 * (os.cpu_count() or 1), flashbuild.binary,
                   flashbuild.store, self.others]
        subprocess.run(list(map(str, command)), check=True, stdin=subprocess.DEVNULL)
        self.made = size


SERIES = (FilesGrow, StepsGrow, StagesGrow, ImagesGrow)
