"""The classes of `river.drift` that Driftline uses, without what that package imports beside them.

In the walk: `online` and `binary` take river's detectors from here. The package itself also imports its data sets and
a detector that needs scipy.stats, and with them scikit-learn and pandas where they are installed: 1.2 of the 2.5 s of
CPU in which a worker started. So its modules are imported while the package is known by name only; who imports
`river.drift` afterwards gets all of it, with these same classes.
"""

from __future__ import annotations

import sys
from importlib import import_module, util
from typing import Any


def _classes() -> tuple[Any, Any, Any]:
    package = "river.drift"
    spec = None if package in sys.modules else util.find_spec(package)
    if spec is not None:
        sys.modules[package] = util.module_from_spec(spec)  # not executed
    try:
        return (
            import_module(f"{package}.adwin").ADWIN,
            import_module(f"{package}.page_hinkley").PageHinkley,
            import_module(f"{package}.binary"),
        )
    finally:
        if spec is not None:
            del sys.modules[package]


# River has annotations for a part of them only.
ADWIN, PageHinkley, binary = _classes()
