"""Builds the wheel of a source distribution with what this Python has. flashbuild runs it in a step of a build."""

import os
import subprocess
import sys
import tarfile
import zipfile

python, name, version, source, made = sys.argv[1:]


def fail(problem):
    sys.exit(f"flashbuild: {name} {version} cannot be built here: {problem}")


def pyproject():
    """The text of the source's pyproject.toml, if it has one."""
    if source.endswith(".zip"):
        with zipfile.ZipFile(source) as archive:
            for member in archive.namelist():
                if member.count("/") == 1 and member.endswith("/pyproject.toml"):
                    return archive.read(member).decode()
        return ""
    with tarfile.open(source) as archive:
        for member in archive:
            if member.name.count("/") == 1 and member.name.endswith("/pyproject.toml") and member.isfile():
                return archive.extractfile(member).read().decode()
    return ""


def lacking():
    """What building needs and this Python does not have, as requirements."""
    try:
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            from pip._vendor import tomli as tomllib
        from importlib import metadata
        from pip._vendor.packaging.requirements import Requirement
    except ImportError:
        return ["what its pyproject.toml names, which this pip is too old to be asked for"]

    system = tomllib.loads(pyproject()).get("build-system", {})
    # PEP 517 and 518 say what is meant where nothing is said.
    needed = system.get("requires", ["setuptools>=40.8.0"])
    if system.get("build-backend", "setuptools").startswith("setuptools"):
        # It asks for wheel only when it runs; newer ones bring their own.
        needed = [*needed, "wheel"] if not has(Requirement("setuptools>=70.1"), metadata) else needed
    return [text for text in needed if not has(Requirement(text), metadata)]


def has(requirement, metadata):
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    try:
        return requirement.specifier.contains(metadata.version(requirement.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return False


def check():
    """Refuses a wheel of another version than the lock has."""
    from pip._vendor.packaging.version import Version

    for wheel in os.listdir(made):
        built = wheel.split("-")[1]
        if Version(built) != Version(version):
            fail(f"what came out is version {built}")


def main():
    here = ".".join(map(str, sys.version_info[:2]))
    if here != python:
        fail(f"this is Python {here}, and the wheel is for {python}")
    try:
        import pip
    except ImportError:
        fail(
            f"{sys.executable} has no pip: add it to the stage before DEPS (python3-pip of Debian, py3-pip of Alpine),"
            " or name a stage or image that has it with --build-from"
        )
    missing = lacking()
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-cache-dir", "--disable-pip-version-check"]
    if not missing:
        command.append("--no-build-isolation")
    status = subprocess.run([*command, "--wheel-dir", made, source]).returncode
    if status == 0:
        return check()
    if missing:
        fail(
            f"building it needs {', '.join(missing)}, which this tree does not have, so that pip looks for it at the index"
            " that it knows here (ENV PIP_INDEX_URL, /etc/pip.conf) over the network, which trusts an authority of your own"
            " with --ca-certificates. Add it to the stage, or name one that has it with --build-from"
        )
    fail(
        "see what pip says above. What it compiles with has to be in the tree too, such as gcc and Python's headers"
        " (gcc, python3-dev of Debian)"
    )


main()
