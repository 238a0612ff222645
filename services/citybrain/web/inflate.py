"""Undo gzip and zstd piece by piece, so that a bomb is stopped early. Called by body. Pure: knows no HTTP.

Each call gives pieces of at most about 8 MiB, however small the input; who takes them counts, and stops when it is enough.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

import zstandard

_PIECE_BYTES = 256 * 1024
_ZSTD_WINDOW_BYTES = 8 * 1024 * 1024  # what RFC 8878 asks every decoder to support
# A zstd block of 4 bytes can stand for 128 KiB, and its decoder gives all at once: so it is fed by spoon.
_ZSTD_SPOON_BYTES = 256


class BrokenCompression(Exception):
    """The body is not what its Content-Encoding says, or ends too early."""


class WindowTooLarge(Exception):
    """Inflating the body would take more memory than a decoder has to give."""


class Inflater(Protocol):
    """Feed pieces as they arrive; `finish` when there are no more. Both raise BrokenCompression, `feed` WindowTooLarge too."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What the data inflates to, in pieces."""
        ...

    def finish(self) -> None:
        """Check that the body ended where a member or frame ends."""
        ...


class Gzip:
    """One or more gzip members in a row (RFC 1952)."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._fed = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._member.eof:
                self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
            self._fed = True
            full = True
            while full and not self._member.eof:  # a full piece may leave more inside, even with all input taken
                piece = self._some(data)
                full = len(piece) == _PIECE_BYTES
                data = self._member.unconsumed_tail
                if piece:
                    yield piece
            data = self._member.unused_data

    def _some(self, data: bytes) -> bytes:
        try:
            return self._member.decompress(data, _PIECE_BYTES)
        except zlib.error as error:
            raise BrokenCompression("the body is not gzip") from error

    def finish(self) -> None:
        if not self._fed or not self._member.eof:
            raise BrokenCompression("the gzip body ends too early")


class Zstd:
    """One or more Zstandard frames in a row (RFC 8878)."""

    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
        self._frame = self._decompressor.decompressobj()
        self._fed = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        for at in range(0, len(data), _ZSTD_SPOON_BYTES):
            spoon = data[at : at + _ZSTD_SPOON_BYTES]
            while spoon:
                if self._frame.eof:
                    self._frame = self._decompressor.decompressobj()
                self._fed = True
                try:
                    piece = self._frame.decompress(spoon)
                except zstandard.ZstdError as error:
                    if "memory" in str(error):  # the library has no class of its own for this
                        raise WindowTooLarge("the Zstandard body needs a window of more than 8 MiB") from error
                    raise BrokenCompression("the body is not Zstandard") from error
                spoon = self._frame.unused_data if self._frame.eof else b""
                if piece:
                    yield piece

    def finish(self) -> None:
        if not self._fed or not self._frame.eof:
            raise BrokenCompression("the Zstandard body ends too early")


class Plain:
    """No compression."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        if data:
            yield data

    def finish(self) -> None:
        """A plain body may end anywhere."""


INFLATERS: dict[str, type[Plain] | type[Gzip] | type[Zstd]] = {
    "": Plain,
    "identity": Plain,
    "gzip": Gzip,
    "x-gzip": Gzip,
    "zstd": Zstd,
}
