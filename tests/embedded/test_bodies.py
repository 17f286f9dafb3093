"""Compressed bodies come out as they went in, wherever the network cuts them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline_streams.embedded.bodies import COMPRESSORS, Inflow


@given(
    encoding=st.sampled_from(sorted(COMPRESSORS)),
    frames=st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    piece=st.integers(1, 64),
)
def test_frames_in_a_row_are_one_body_in_any_pieces(encoding: str, frames: list[bytes], piece: int) -> None:
    sent = b""
    for frame in frames:
        compressor = COMPRESSORS[encoding]()
        sent += compressor.compress(frame) + compressor.flush()
    inflow = Inflow(encoding)
    got = b"".join(inflow.feed(sent[at : at + piece]) for at in range(0, len(sent), piece))
    inflow.finish()
    assert got == b"".join(frames)


@pytest.mark.parametrize("encoding", sorted(COMPRESSORS))
def test_a_body_that_ends_early_is_noticed(encoding: str) -> None:
    compressor = COMPRESSORS[encoding]()
    sent = compressor.compress(b"all of it") + compressor.flush()
    inflow = Inflow(encoding)
    inflow.feed(sent[:-1])
    with pytest.raises(ValueError, match="ended before"):
        inflow.finish()


def test_an_unknown_encoding_is_named() -> None:
    with pytest.raises(ValueError, match="not as br"):
        Inflow("br")
