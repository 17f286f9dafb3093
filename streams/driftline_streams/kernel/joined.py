"""Strings that hardly ever repeat, wanted one by one and all in a row: ids and timestamps.

In the walk: `ingest` joins the ids of a batch once, looks for duplicates among them, and they are stored and remembered
as they are joined. To join them takes 26 ns each; then to write one takes 6 ns instead of 36, to remember it none
instead of 27.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt


class Joined(list[str]):
    """Strings, and all of them as one `text`, in which string `i` ends at `ends[i]`; `ends` has shape `(n,)`.

    >>> ids = Joined(["a", "bc"])
    >>> ids[1], ids.text, ids.ends.tolist()
    ('bc', 'abc', [1, 3])
    """

    __slots__ = ("ends", "text")

    def __init__(self, strings: Iterable[str]) -> None:
        super().__init__(strings)
        self.text = "".join(self)
        self.ends = np.cumsum(np.fromiter(map(len, self), np.uint32, len(self)), dtype=np.uint32)

    @property
    def letters(self) -> npt.NDArray[np.uint8] | None:
        """The strings as rows of an array, shape `(n, length)`, if all are ASCII, of one length and not empty."""
        n = len(self)
        length = int(self.ends[0]) if n else 0
        if not length or not self.text.isascii() or not np.array_equal(self.ends, np.arange(1, n + 1) * length):
            return None
        return np.frombuffer(self.text.encode(), np.uint8).reshape(n, length)
