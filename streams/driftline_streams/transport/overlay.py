"""One partition's share of a table, with its changes held back until the effects that they follow from are done.

In the walk: a stage reads and writes this while it handles a batch; `app.py` carries out the effects and then applies
the changes. A crash in between repeats the effects, which have names, and loses none.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping


class Overlay(MutableMapping[str, bytes]):
    """The entries of `table` whose keys belong to `partition`; the table itself changes only in `apply`.

    >>> table = {"3/seen": b"1", "4/seen": b"2"}
    >>> mine = Overlay(table, 3)
    >>> mine["new"] = b"0"; del mine["seen"]
    >>> dict(mine), table
    ({'new': b'0'}, {'3/seen': b'1', '4/seen': b'2'})
    >>> mine.apply(); table
    {'4/seen': b'2', '3/new': b'0'}
    """

    def __init__(self, table: MutableMapping[str, bytes], partition: int) -> None:
        self._table = table
        self._prefix = f"{partition}/"
        self._changes: dict[str, bytes | None] = {}  # None is a deletion

    def apply(self) -> None:
        """Write the changes to the table, in the order in which they were made."""
        for key, value in self._changes.items():
            if value is None:
                self._table.pop(self._prefix + key, None)
            else:
                self._table[self._prefix + key] = value
        self._changes.clear()

    def __getitem__(self, key: str) -> bytes:
        """The value, changed or not."""
        if key in self._changes:
            changed = self._changes[key]
            if changed is None:
                raise KeyError(key)
            return changed
        return self._table[self._prefix + key]

    def __setitem__(self, key: str, value: bytes) -> None:
        """Change a value; a later change of the same key takes its place in the order."""
        self._changes.pop(key, None)
        self._changes[key] = value

    def __delitem__(self, key: str) -> None:
        """Take an entry out; raises `KeyError` when there is none."""
        self[key]
        self._changes.pop(key, None)
        self._changes[key] = None

    def __iter__(self) -> Iterator[str]:
        """The keys of this partition."""
        start = len(self._prefix)
        for key in self._table:
            if key.startswith(self._prefix) and key[start:] not in self._changes:
                yield key[start:]
        yield from (key for key, value in self._changes.items() if value is not None)

    def __len__(self) -> int:
        """How many there are; walks over the whole table."""
        return sum(1 for _ in self)
