"""An environment for each framework with pinned packages, made when it is first needed, kept in `.driftline/bench`."""

from __future__ import annotations

import os
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .course import DidNotRun

HOME = Path(".driftline/bench")
REQUIREMENTS = Path(__file__).parent / "contestants"
INSTALL_S = 600.0
ROOT = Path(__file__).parents[2]


def python(name: str) -> Path:
    """The interpreter of the environment with the packages of `contestants/<name>.txt`.

    Raises
    ------
    DidNotRun
        If the packages cannot be installed.
    """
    requirements = REQUIREMENTS / f"{name}.txt"
    home = (HOME / name).resolve()
    made, interpreter = home / "made-from.txt", home / "bin" / "python"
    if made.exists() and made.read_text() == requirements.read_text():
        return interpreter
    venv.create(home, clear=True, with_pip=True)
    install: list[str | Path] = [
        interpreter,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
        requirements,
    ]
    _do(install, "its environment could not be made", INSTALL_S)
    made.write_text(requirements.read_text())
    return interpreter


def run(name: str, home: Path, patience_s: float, **environment: str) -> None:
    """Run the module `contestants.<name>` in its environment, which reads and writes files in `home`.

    Raises
    ------
    DidNotRun
        If the environment cannot be made, or the module fails.
    """
    command: list[str | Path] = [python(name), "-m", f"tests.bench.contestants.{name}", home]
    _do(command, "it failed", patience_s, cwd=home, env={**os.environ, "PYTHONPATH": str(ROOT), **environment})


def _do(command: Sequence[str | Path], failure: str, patience_s: float, **options: Any) -> None:
    """Run a command, or raise `DidNotRun` with the last thing it said."""
    ran = subprocess.run(command, capture_output=True, text=True, timeout=patience_s, check=False, **options)
    if ran.returncode:
        said = (ran.stderr.strip().splitlines() or ["no word of why"])[-1]
        raise DidNotRun(f"{failure}, exit {ran.returncode}: {said[:200]}")
