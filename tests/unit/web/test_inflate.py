"""Bodies are inflated piece by piece; broken ones are refused."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterator

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from citybrain.web.inflate import BrokenCompression, Gzip, Inflater, WindowTooLarge, Zstd


def _cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def _inflate(inflater: Inflater, parts: Iterator[bytes]) -> bytes:
    found = b"".join(piece for part in parts for piece in inflater.feed(part))
    inflater.finish()
    return found


Make = Callable[[], Inflater]
Compress = Callable[[bytes], bytes]
_CODINGS = [(Gzip, gzip.compress), (Zstd, zstandard.ZstdCompressor().compress)]


@pytest.mark.parametrize(("inflater", "compress"), _CODINGS)
@given(content=st.binary(max_size=3000), repeat=st.integers(1, 400), size=st.integers(1, 5000))
def test_what_was_compressed_comes_back_however_it_is_cut(
    inflater: Make, compress: Compress, content: bytes, repeat: int, size: int
) -> None:
    assert _inflate(inflater(), _cut(compress(content * repeat), size)) == content * repeat


@pytest.mark.parametrize(("inflater", "compress"), _CODINGS)
def test_several_members_in_a_row_are_one_body(inflater: Make, compress: Compress) -> None:
    assert _inflate(inflater(), _cut(compress(b"one ") + compress(b"two"), 7)) == b"one two"


@pytest.mark.parametrize(("inflater", "compress"), _CODINGS)
def test_truncated_broken_and_empty_bodies_are_refused(inflater: Make, compress: Compress) -> None:
    whole = compress(os.urandom(1000))
    for broken in (whole[:-1], whole[:-12], b"not compressed", whole + b"x", b""):
        with pytest.raises(BrokenCompression):
            _inflate(inflater(), _cut(broken, 100))


@pytest.mark.parametrize("size", [256 * 1024, 256 * 1024 * 3, 256 * 1024 + 1])
def test_a_gzip_body_that_fills_its_pieces_exactly_ends_well(size: int) -> None:
    assert len(_inflate(Gzip(), iter([gzip.compress(b"x" * size)]))) == size


def test_a_bomb_is_given_in_small_pieces() -> None:
    gzip_bomb = gzip.compress(b"\0" * (64 << 20))
    assert max(map(len, Gzip().feed(gzip_bomb))) <= 256 * 1024
    zstd_bomb = b"\x28\xb5\x2f\xfd\x00\x68" + _zstd_blocks(1000)  # a window of 8 MiB
    pieces = list(Zstd().feed(zstd_bomb))
    assert sum(map(len, pieces)) == 100_000_000
    assert max(map(len, pieces)) <= 8 << 20


def _zstd_blocks(count: int) -> bytes:
    """Blocks of four bytes that each stand for 100,000."""
    return b"".join((100_000 << 3 | 2 | (n == count - 1)).to_bytes(3, "little") + b"x" for n in range(count))


def test_a_zstd_body_that_asks_for_too_much_memory_is_refused() -> None:
    with pytest.raises(WindowTooLarge):
        list(Zstd().feed(b"\x28\xb5\x2f\xfd\xa0" + (100_000_000).to_bytes(4, "little") + _zstd_blocks(1000)))


def test_deflate_without_gzip_around_it_is_refused() -> None:
    with pytest.raises(BrokenCompression):
        list(Gzip().feed(zlib.compress(b"x")))
