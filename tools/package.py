"""The archives that are deployed: one per function, with its main.py at the root, shared/ and its requirements.txt.

`python -m tools.package` writes .build/packages/NAME.zip. The same content gives the same bytes on every machine, so
that Terraform, which names an archive by its hash, deploys a function only when something in it changed.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from shared.api.routing import FUNCTIONS

ROOT = Path(__file__).parents[1]
PACKAGES = ROOT / ".build" / "packages"
# The earliest moment that a zip archive can name.
EPOCH = (1980, 1, 1, 0, 0, 0)
READABLE_FILE = 0o100644
UNIX = 3


def contents(function: str, root: Path = ROOT) -> dict[str, Path]:
    """What the function's archive holds: names in the archive to files."""
    modules = {path.relative_to(root).as_posix(): path for path in (root / "shared").rglob("*.py")}
    own = {
        "main.py": root / "functions" / function / "main.py",
        "requirements.txt": root / "requirements" / "functions.txt",
    }
    return {**modules, **own, **(page(root) if function == "history" else {})}


def page(root: Path = ROOT) -> dict[str, Path]:
    """The studio, which history serves where no bucket may be public. It is always there: one archive for both ways."""
    files = {path.relative_to(root).as_posix(): path for path in (root / "web").rglob("*") if path.is_file()}
    return {**files, "openapi.json": root / "openapi.json"}


def write(archive: Path, files: Mapping[str, Path]) -> None:
    """Rewrite the archive, the same bytes for the same contents: in order, and without times, owners and modes.

    Nothing is compressed, since another release of zlib compresses to other bytes.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_suffix(".part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as zipped:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = UNIX
            entry.external_attr = READABLE_FILE << 16
            zipped.writestr(entry, files[name].read_bytes())
    unfinished.replace(archive)


def package(directory: Path = PACKAGES, root: Path = ROOT) -> dict[str, Path]:
    """Write all archives into the directory; answers them by function."""
    archives: dict[str, Path] = {function: directory / f"{function}.zip" for function in FUNCTIONS}
    for function, archive in archives.items():
        write(archive, contents(function, root))
    return archives


def sha256(archive: Path) -> str:
    return hashlib.sha256(archive.read_bytes()).hexdigest()


def main() -> None:
    for archive in package().values():
        size_kb = archive.stat().st_size / 1_000
        print(f"{archive.relative_to(ROOT)}  {size_kb:.0f} kB  sha256 {sha256(archive)[:16]}")


if __name__ == "__main__":
    main()
