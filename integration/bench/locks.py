"""Lock files of real packages, made anew by uv from the index that it is configured for."""

import subprocess
import sys
import tempfile
from pathlib import Path

from images import TARGET

PACKAGES = ["fastapi", "uvicorn", "numpy", "pandas", "scikit-learn"]
QUICK_PACKAGES = ["fastapi", "uvicorn", "markupsafe"]
# The package that changes.
CHANGED = "click"


def lock(packages, constraints):
    """Requirements with hashes."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "in.txt").write_text("\n".join(packages) + "\n")
        (work / "constraints.txt").write_text("\n".join(constraints) + "\n")
        uv = TARGET.resolve() / "tmp/uv/bin/uv"
        command = [uv if uv.exists() else "uv", "pip", "compile", "--quiet", "--generate-hashes", "--universal",
                   "--python-version", "3.11", "--only-binary", ":all:", "--no-header", "--no-annotate",
                   "--constraints", "constraints.txt", "in.txt"]
        result = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            sys.exit(f"bench: uv cannot lock {' '.join(packages)}: {result.stderr}")
        return result.stdout


def entries(text):
    """Each requirement with the lines of its hashes."""
    found = []
    for line in text.splitlines(keepends=True):
        if line[0].isspace():
            found[-1] += line
        else:
            found.append(line)
    return found
