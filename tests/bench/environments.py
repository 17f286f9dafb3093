"""An environment for each framework with pinned packages, made when it is first needed, kept in `.driftline/bench`."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

from .course import DidNotRun

HOME = Path(".driftline/bench")
REQUIREMENTS = Path(__file__).parent / "contestants"
INSTALL_S = 600.0


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
