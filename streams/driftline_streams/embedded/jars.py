"""The jars of Apache Kafka, resolved once from their Maven coordinates and cached for every later start."""

from __future__ import annotations

import fcntl
import json
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import jgo
from jgo.config import GlobalSettings
from jgo.maven import PythonResolver

from driftline_streams.errors import Unavailable

KAFKA = "org.apache.kafka:kafka_2.13:4.3.1"
# slf4j alone prints a warning and drops every log line; this backend writes them to stderr, that is to kafka.log.
LOGGING = "org.slf4j:slf4j-simple:1.7.36"

# Called with a file's name and its size in bytes before it is downloaded; the context takes the bytes that came since.
DownloadProgress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


def kafka_jars(progress: DownloadProgress | None = None) -> list[Path]:
    """Every jar that a broker needs on its class path: 44 MB in 20 s the first time, at once afterwards.

    Raises
    ------
    Unavailable
        If the jars are not cached on this machine and cannot be downloaded.
    """
    settings = GlobalSettings.load()
    settings.cache_dir.mkdir(parents=True, exist_ok=True)
    complete = _complete(settings)
    with complete.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two first starts at once would write the same files
        jars = _listed(complete)
        if not jars:
            jars = _download(settings, progress)
            complete.write_text(json.dumps([str(jar) for jar in jars]))
    return jars


def kafka_jars_are_here() -> bool:
    """Whether a broker can start without a download."""
    return bool(_listed(_complete(GlobalSettings.load())))


def _complete(settings: GlobalSettings) -> Path:
    """The list of jars that is written when all of them came: jgo itself takes an interrupted download for complete."""
    return Path(settings.cache_dir) / f"driftline-{KAFKA.replace(':', '-')}.json"


def _listed(complete: Path) -> list[Path]:
    try:
        jars = [Path(jar) for jar in json.loads(complete.read_text())]
    except (FileNotFoundError, ValueError):
        return []
    return jars if all(jar.is_file() for jar in jars) else []


def _download(settings: GlobalSettings, progress: DownloadProgress | None) -> list[Path]:
    try:
        for _ in range(2):  # once more when something cut short was found and thrown away
            environment = jgo.build(
                f"{KAFKA}+{LOGGING}",
                update=True,
                repositories=settings.repositories,
                resolver=PythonResolver(progress_callback=progress),
            )
            # `classpath` names only the jars without a module descriptor: two of them.
            jars: list[Path] = environment.all_jars
            broken = [jar for jar in jars if not zipfile.is_zipfile(jar)]
            if jars and not broken:
                return jars
            for jar in broken:
                for copy in (jar, *settings.repo_cache.rglob(jar.name)):
                    copy.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:  # what requests and jgo raise
        raise Unavailable(
            f"Apache Kafka ({KAFKA}) is not on this machine yet and could not be downloaded: {error}. "
            "Connect to the internet once (a mirror goes into the [repositories] of ~/.config/jgo.conf), "
            "or set DRIFTLINE_KAFKA_BOOTSTRAP to a broker that runs already"
        ) from error
    raise Unavailable(f"jars of {KAFKA} arrive damaged: remove {settings.repo_cache} and try again")
