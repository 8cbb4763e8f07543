"""Check that a wheel and an sdist hold every file of the package, and the sdist what builds it.

    python .ci/package_files.py WHEEL SDIST

Files are those that git knows.
"""

import subprocess
import sys
import tarfile
import zipfile

BESIDE = {"pyproject.toml", "README.md", "LICENSE"}


def main(wheel: str, sdist: str) -> None:
    """Exit with a sentence where a file is missing."""
    listed = subprocess.run(
        ["git", "ls-files", "src/foretell"], capture_output=True, text=True, check=True
    )
    sources = set(listed.stdout.split())
    with zipfile.ZipFile(wheel) as archive:
        installed = {f"src/{n}" for n in archive.namelist() if n.startswith("foretell/")}
    with tarfile.open(sdist) as archive:
        packed = {n.partition("/")[2] for n in archive.getnames()}
    for name, missing in (
        ("wheel", sources - installed),
        ("sdist", (sources | BESIDE) - packed),
        ("repository", installed - sources),
    ):
        if missing:
            sys.exit(f"Not in the {name}: {', '.join(sorted(missing))}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
