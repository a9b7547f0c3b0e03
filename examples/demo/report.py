"""usage: report.py REGISTRY REPOSITORY METADATA-FILE

Shows what a build pushed, as the registry tells it, and what it did for that, as the build's metadata file tells it.
"""

import json
import sys
import urllib.request

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def main(registry, repository, metadata_file):
    with open(metadata_file, encoding="utf-8") as file:
        metadata = json.load(file)
    show_images(f"http://{registry}/v2/{repository}", metadata["containerimage.digest"])
    show_steps(metadata.get("flashbuild.steps", []))


def show_images(repository, digest):
    print(f"\n{digest}")
    for manifest in fetch(f"{repository}/manifests/{digest}")["manifests"]:
        platform = "{os}/{architecture}".format(**manifest["platform"])
        image = fetch(f"{repository}/manifests/{manifest['digest']}")
        config = fetch(f"{repository}/blobs/{image['config']['digest']}")
        made_by = [step["created_by"] for step in config["history"] if not step.get("empty_layer")]
        print(f"  {platform}")
        for layer, instruction in zip(image["layers"], made_by, strict=True):
            print(f"    {layer['size']:>10,} B  {layer['digest'][7:19]}  {shorten(instruction)}")


def show_steps(steps):
    shared = [step for step in steps if len(step["platforms"]) > 1]
    ran = [step for step in steps if step["outcome"] == "ran"]
    print(f"  {len(steps)} steps: {len(ran)} ran, {len(steps) - len(ran)} did not have to; {len(shared)} serve all platforms")
    for step in steps:
        platforms = "all platforms" if step in shared else ", ".join(step["platforms"])
        print(f"    {step['outcome']:<8} {platforms:<14} {shorten(step['name'])}")


def fetch(url):
    request = urllib.request.Request(url, headers={"Accept": f"{INDEX}, {MANIFEST}"})
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)


def shorten(text, width=70):
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


if __name__ == "__main__":
    main(*sys.argv[1:])
