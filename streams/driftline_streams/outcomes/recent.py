"""The predictions of the last minutes, in memory: most labels that come soon find theirs here, without a query.

In the walk: `app.py` gives it the rows that `ingest` has stored, `join` asks it first. Remembering does nothing for a
single prediction: a batch becomes a page, the oldest page makes room, and pages are indexed when labels ask for them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import eq

import numpy as np

from driftline_streams.kernel.effects import Rows
from driftline_streams.kernel.histogram import Ints
from driftline_streams.outcomes.index import ENTRY_BYTES, Index, hashes
from driftline_streams.outcomes.page import Page
from driftline_streams.outcomes.served import Served


class Recent:
    """A bounded map from (model, prediction id) to prediction; the oldest batches make room for new ones.

    Of several predictions with one id the first of those that are here counts, as in the cold look-up.

    Parameters
    ----------
    max_events, max_bytes
        Whichever is reached first. The bytes are an estimate, within a third of what the process pays, the index
        included: 100 to 150 for a usual prediction.

    Attributes
    ----------
    hits, misses, evicted
        Counts of ids that were looked up and of predictions that had to make room.
    """

    def __init__(self, max_events: int = 250_000, max_bytes: int = 32 << 20) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._pages: list[Page] = []  # oldest first
        self._firsts: list[int] = []  # the number of the first prediction of each page; all are numbered as they come
        self._next = 0
        self._index = Index()
        self._indexed = 0  # predictions before this number
        self._events = 0
        self._bytes = 0
        self.hits = 0
        self.misses = 0
        self.evicted = 0

    def __len__(self) -> int:
        """Number of predictions held."""
        return self._events

    @property
    def nbytes(self) -> int:
        """Estimated memory."""
        return self._bytes

    def remember(self, rows: Rows) -> None:
        """Take in rows of the table `predictions`, by its column names; columns that are absent hold their defaults.

        The columns are copied, never changed.
        """
        if rows.n == 0:
            return
        page = Page.of(rows)
        self._pages.append(page)
        self._firsts.append(self._next)
        self._next += page.n
        self._events += page.n
        self._bytes += _size(page)
        evicted = 0
        while self._events > self._max_events or self._bytes > self._max_bytes:
            oldest = self._pages[evicted]
            self._events -= oldest.n
            self._bytes -= _size(oldest)
            self.evicted += oldest.n
            evicted += 1
        del self._pages[:evicted], self._firsts[:evicted]
        if evicted and not (self._firsts and self._firsts[0] < self._indexed):
            self._index = Index()  # nobody may ask again

    def find(self, models: Sequence[str], ids: Sequence[str]) -> tuple[Ints, Served]:
        """The pairs whose prediction is here, by index, in any order, and these predictions in the same order."""
        rows: list[Ints] = []
        parts: list[Served] = []
        if self._pages and len(ids):
            self._bring_index_up_to_date()
            numbers = self._index.find(hashes(models, ids))
            order = np.argsort(numbers)
            order = order[np.searchsorted(numbers[order], 0) :]
            cuts = np.searchsorted(numbers[order], self._firsts).tolist()
            for place, (begin, end) in enumerate(zip(cuts, [*cuts[1:], len(order)], strict=True)):
                if begin == end:
                    continue
                page, asked = self._pages[place], order[begin:end]
                on_page = numbers[asked] - self._firsts[place]
                same = self._same(page, on_page, [(models[i], ids[i]) for i in asked.tolist()])
                rows.append(asked[same])
                parts.append(page.take(on_page[same]))
        found = np.concatenate(rows) if rows else np.empty(0, np.int64)
        self.hits += len(found)
        self.misses += len(ids) - len(found)
        return found, Served.joined(parts) if parts else Served.nothing()

    @staticmethod
    def _same(page: Page, rows: Ints, wanted: list[tuple[str, str]]) -> Ints:
        """Which rows hold what is wanted: two keys may have one hash."""
        held = zip(*page.held(rows), strict=True)
        return np.flatnonzero(np.fromiter(map(eq, held, wanted), np.bool_, len(wanted)))

    def _bring_index_up_to_date(self) -> None:
        self._index.forget(self._firsts[0])
        for place in range(bisect_left(self._firsts, self._indexed), len(self._pages)):
            self._index.add(self._firsts[place], hashes(*self._pages[place].keys()))
        self._indexed = self._next


def _size(page: Page) -> int:
    return page.nbytes + page.n * ENTRY_BYTES
