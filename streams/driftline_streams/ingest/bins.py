"""Histograms of every signal of a batch: numbers by the bins of their reference, texts by themselves.

In the walk: the half of `features` that counts values; the other half sums them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftline_streams.ingest.bounds import fold
from driftline_streams.ingest.cells import Slices, Strata
from driftline_streams.ingest.groups import Places
from driftline_streams.ingest.signals import Observations
from driftline_streams.ingest.values import NO_TEXT, Texts
from driftline_streams.kernel.histogram import Ints, compact, tally
from driftline_streams.kernel.limits import MAX_CATEGORIES, OTHER_CATEGORY


@dataclass(frozen=True, slots=True)
class Slots:
    """A slot is a bin of a signal. Those of a signal stand side by side, and so do the signals of a version.

    Slot `i` counts what is `label[i]` of the signal at `signal[i]`; codes of labels ascend within a signal. Version `v`
    has the slots from `begins[v]` on. Cells of segments count in slot `leading[i]` instead.
    """

    label: Texts
    signal: Ints
    begins: Ints  # shape (versions + 1,)
    leading: Ints


@dataclass(frozen=True, slots=True)
class Bins:
    """Histograms of several cells: cell `cell[j]` has `count[j]` values in `slot[j]`; ordered by cell, then slot."""

    slots: Slots
    cell: Ints
    slot: Ints
    count: Ints
    folded: int  # texts beyond `MAX_CATEGORIES` of their signal

    @classmethod
    def of(cls, seen: Observations, slices: Slices, joint: Strata) -> Bins:
        """Count the values of all events in all their cells.

        Segments get the numbers in ten bins, of which the first fine one stands for all: ten decide, and 64 of each of
        many segments would cost more than all the rest of a batch.
        """
        slots, row, slot, folded = _marks(seen)
        places = Places.of(slots.begins, slices.version[: slices.wholes])
        shift = places.shift[slices.group[: len(joint.of_event)]]
        present, count = tally(shift[row] + slot, int(places.ends[-1]))
        cell = places.unit(present)
        slot_of = present - places.shift[cell]
        if len(slices) > slices.wholes:
            sliced = _sliced(slots, row, slot, slices, joint)
            cell, slot_of, count = (np.concatenate(both) for both in zip((cell, slot_of, count), sliced, strict=True))
        return cls(slots, cell, slot_of, count, folded)


def _sliced(slots: Slots, row: Ints, slot: Ints, slices: Slices, joint: Strata) -> tuple[Ints, Ints, Ints]:
    """Cell, slot and count of the cells of segments."""
    leads = slots.leading == np.arange(len(slots.leading))
    rank = np.cumsum(leads) - 1
    begins = np.append(0, rank + 1)[slots.begins]
    slot = rank[slots.leading][slot]
    count = None
    of_strata = Places.of(begins, slices.version[joint.layers[0]])
    # A table of all slots of all strata is worth its zeros while it is not much larger than what is counted.
    if of_strata.ends[-1] <= 4 * len(row):
        present, count = tally(of_strata.shift[joint.of_event][row] + slot, int(of_strata.ends[-1]))
        unit = of_strata.unit(present)
        slot = present - of_strata.shift[unit]
    else:
        unit = joint.of_event[row]
    spread, cell = joint.spread(unit, joint.layers[1:])
    places = Places.of(begins, slices.version)
    present, count = tally(
        places.shift[cell] + slot[spread], int(places.ends[-1]), None if count is None else count[spread]
    )
    cell = places.unit(present)
    return cell, np.flatnonzero(leads)[present - places.shift[cell]], count


def _marks(seen: Observations) -> tuple[Slots, Ints, Ints, int]:
    """Every value that has a bin: event `row[j]` has one in `slot[j]`; and how many texts were folded."""
    signals = len(seen.signals)
    numeric = np.flatnonzero((seen.edges.count > 0)[seen.signal] & ~np.isnan(seen.number))
    number_signal = seen.signal[numeric]
    index = seen.edges.bin_index(number_signal, seen.number[numeric])
    is_text = np.flatnonzero(seen.text.code != NO_TEXT)
    text_signal = seen.text_signal[is_text]
    given = Texts(seen.text.values, seen.text.code[is_text])
    known = {place: signal.categories for place, signal in enumerate(seen.signals) if signal.categories}
    texts, folded = fold(text_signal, given, MAX_CATEGORIES, OTHER_CATEGORY, known)

    width = max(1, len(texts.values))
    pairs, place = compact(text_signal * width + texts.code, signals * width)
    owner = pairs // width
    of_numbers = np.where(seen.edges.count > 0, seen.edges.count + 1, 0)
    of_texts = np.bincount(owner, minlength=signals)
    ends = np.cumsum(of_numbers + of_texts)
    begins = np.concatenate([[0], ends])
    text_slot = np.arange(len(pairs)) + np.cumsum(of_numbers)[owner]
    numbers = int(of_numbers.max())
    code = np.arange(ends[-1]) - np.repeat(begins[:-1], of_numbers + of_texts)
    code[text_slot] = numbers + pairs % width
    label = Texts([*map(str, range(numbers)), *texts.values], code)
    leading = np.arange(ends[-1])
    of_number = np.repeat(begins[:-1], of_numbers)
    local = np.arange(len(of_number)) - np.repeat(np.cumsum(of_numbers) - of_numbers, of_numbers)
    leading[of_number + local] = of_number + seen.leading
    slots = Slots(label, np.repeat(np.arange(signals), of_numbers + of_texts), begins[seen.begins], leading)
    row = np.concatenate([seen.row[numeric], seen.text_row[is_text]])
    return slots, row, np.concatenate([begins[number_signal] + index, text_slot[place]]), folded
