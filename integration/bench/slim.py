"""Images made smaller: what is left of them, and whether they still start."""

import json

from measured import run
from optimize import write_context
from workload import Workload


class Slim(Workload):
    name, title = "W8", "slim --passes all"

    def measure(self, tools, report):
        flashbuild = tools[0]
        for image in ("nginx",) if self.quick else ("python", "nginx", "c-build-left-in"):
            context = write_context(self.context, image)
            flashbuild.build(context, image, push=False)
            told = self.work / f"{image}.json"
            cost = run(["sh", "-c", 'exec "$@" >"$0"', told, flashbuild.binary, "slim", "--root", flashbuild.store,
                        "--progress", "quiet", "--format", "json", "--base", "--passes", "all", "-t", f"{image}-slim", image])
            told = json.loads(told.read_text())[0]
            report.add(f"{self.name} {self.title}: {image}", [(flashbuild, [cost])], 1, [note(told)])


def note(slimmed):
    before, after = slimmed["compressed_before"], slimmed["compressed_after"]
    proof = slimmed["proofs"][0]["end"]
    return f"{before / 1e6:.1f} -> {after / 1e6:.1f} MB ({100 * (1 - after / before):.0f} % less); {proof}, before and after"
