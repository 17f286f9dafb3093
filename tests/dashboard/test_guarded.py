"""What a page says when a load fails."""

from __future__ import annotations

import pytest

from driftline_streams.dashboard.pages.shell import Page
from driftline_streams.errors import Overloaded, Unavailable, UsageError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UsageError("run `driftline migrate`"), "run `driftline migrate`"),
        (Overloaded("too much memory"), "too much memory"),
        (Unavailable("away"), ""),  # the reader knows since when
    ],
)
async def test_a_load_that_fails_says_why_unless_it_is_an_outage(error: Exception, said: str) -> None:
    async def load() -> None:
        raise error

    page = Page.__new__(Page)  # without a browser
    page._missed, page._refusal = False, ""
    await page.guarded(load())
    assert (page._missed, page._refusal) == (True, said)
