"""How many records become one value and back: MessagePack columns, compressed with zstd. Used by the Postgres bus alone."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import zstandard

from citybrain.bus.port import Batch, Record

_Columns = tuple[list[bytes], list[str], list[bytes]]
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Columns)


def pack(records: Sequence[Record]) -> bytes:
    """One segment. Thread-safe."""
    columns = ([r.key for r in records], [r.type for r in records], [r.value for r in records])
    return zstandard.ZstdCompressor(level=1).compress(_encoder.encode(columns))


def unpack(payload: bytes, partition: int, first_offset: int, position: int) -> Batch:
    """The records of a segment from `position` on."""
    keys, types, values = _decoder.decode(zstandard.ZstdDecompressor().decompress(payload))
    skip = max(0, position - first_offset)
    return Batch(partition, first_offset + skip, keys[skip:], types[skip:], values[skip:])
