"""An environment for each framework with pinned packages, made when it is first needed, kept in `.driftline/bench`."""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path

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
    installed = subprocess.run(
        [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements],
        capture_output=True,
        text=True,
        timeout=INSTALL_S,
        check=False,
    )
    if installed.returncode:
        raise DidNotRun(f"its environment could not be made: {installed.stderr.strip().splitlines()[-1][:200]}")
    made.write_text(requirements.read_text())
    return interpreter


def run(name: str, home: Path, patience_s: float, **environment: str) -> None:
    """Run the module `contestants.<name>` in its environment, which reads and writes files in `home`.

    Raises
    ------
    DidNotRun
        If the environment cannot be made, or the module fails.
    """
    ran = subprocess.run(
        [python(name), "-m", f"tests.bench.contestants.{name}", home],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=patience_s,
        check=False,
    )
    if ran.returncode:
        raise DidNotRun(f"exit {ran.returncode}: {(ran.stderr.strip().splitlines() or ['no word of why'])[-1][:200]}")
