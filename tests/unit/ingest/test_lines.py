"""A stream is cut into lines however it arrives."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from citybrain.ingest.lines import Lines
from citybrain.ingest.strict_json import MAX_ITEM_BYTES


def _cut(pieces: list[bytes]) -> list[bytes | None]:
    lines = Lines()
    return [line for piece in pieces for line in lines.feed(piece)] + list(lines.last())


@given(text=st.lists(st.sampled_from([b"a", b"bc", b"\n", b" ", b"\r\n", b"\t"]), max_size=30), cuts=st.lists(st.integers(0, 30)))
def test_lines_do_not_depend_on_how_the_stream_was_cut(text: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(text)
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    pieces = [whole[begin:end] for begin, end in pairwise(places)]
    assert _cut(pieces) == [line.strip(b" \t\r") for line in whole.split(b"\n") if line.strip(b" \t\r")]


def test_a_line_that_is_too_long_is_told_and_forgotten_and_the_next_is_read() -> None:
    long = [b"x" * 1000] * (MAX_ITEM_BYTES // 1000 + 10)
    lines = Lines()
    for piece in long:
        assert list(lines.feed(piece)) == []
        assert len(lines._begun) <= MAX_ITEM_BYTES + 1
    assert list(lines.feed(b"xx\nnext\n")) == [None, b"next"]
    assert _cut([*long]) == [None]


def test_a_line_of_exactly_the_largest_size_is_read() -> None:
    assert _cut([b"x" * MAX_ITEM_BYTES + b"\r\n"]) == [b"x" * MAX_ITEM_BYTES]
