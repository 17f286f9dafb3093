"""One model after the other, so that one which cannot be looked at does not hide those behind it.

In the walk: whatever looks at all models beside it goes through them with this.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable

from driftline_streams.errors import stops_all
from driftline_streams.kernel.effects import Named


async def of_each(models: Iterable[str], found: Callable[[str], AsyncIterator[Named]]) -> AsyncIterator[Named]:
    """What is `found` of each model.

    Raises
    ------
    ExceptionGroup
        After all have been looked at: the errors of those that failed.
    BrokenInvariant, Unavailable
        At once, when nobody can go on (`errors.stops_all`).
    """
    errors: list[Exception] = []
    for model in models:
        try:
            async for each in found(model):
                yield each
        except Exception as error:
            if stops_all(error):
                raise
            error.add_note(f"of model {model}")
            errors.append(error)
    if errors:
        raise ExceptionGroup(f"{len(errors)} models could not be looked at", errors)
