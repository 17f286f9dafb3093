"""One model that cannot be looked at does not hide the others."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from driftline_streams.errors import BrokenInvariant, Overloaded, Unavailable
from driftline_streams.kernel.each import of_each
from driftline_streams.kernel.effects import Named

MODELS = ("a", "b", "c")


async def looked(error: Exception) -> tuple[list[str], Exception | None]:
    """What is found when `b` fails after its first finding, and how it ends."""

    async def found(model: str) -> AsyncIterator[Named]:
        yield Named(f"{model} 1")
        if model == "b":
            raise error
        yield Named(f"{model} 2")

    names: list[str] = []
    round_ = of_each(MODELS, found)
    while True:
        try:
            names.append((await anext(round_)).name)
        except StopAsyncIteration:
            return names, None
        except Exception as raised:
            return names, raised


@pytest.mark.parametrize("error", [ZeroDivisionError(), Overloaded("too much memory")])
async def test_the_others_are_looked_at_and_then_the_failure_is_told(error: Exception) -> None:
    names, raised = await looked(error)
    assert names == ["a 1", "a 2", "b 1", "c 1", "c 2"]
    assert isinstance(raised, ExceptionGroup)
    assert raised.exceptions == (error,)
    assert error.__notes__ == ["of model b"]


@pytest.mark.parametrize("error", [Unavailable("away"), BrokenInvariant("no")])
async def test_when_nobody_can_go_on_nobody_is_looked_at(error: Exception) -> None:
    assert await looked(error) == (["a 1", "a 2", "b 1"], error)
