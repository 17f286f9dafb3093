"""Services that a test may crash: the run's own are shared by everybody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from driftline_streams.embedded import services
from driftline_streams.embedded.services import Services


@pytest.fixture(scope="package")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Both services in a directory whose name is not plain ASCII; a test leaves them running as it found them."""
    directory: Path = tmp_path_factory.mktemp("eigene Größe")
    with services.up(directory, detach=False) as running:
        yield running
