"""Records of Kafka become batches of consecutive offsets."""

from __future__ import annotations

from aiokafka import ConsumerRecord

from citybrain.bus.kafka_read import batches_of


def record(offset: int, headers: tuple[tuple[str, bytes], ...] = (("type", b"t"),)) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord("topic", 2, offset, 0, 0, b"key", f"{offset}".encode(), None, 3, 1, headers)


def test_consecutive_records_are_one_batch() -> None:
    [batch] = batches_of([record(7), record(8), record(9)])
    assert (batch.partition, batch.first_offset, batch.next_offset) == (2, 7, 10)
    assert list(batch.values) == [b"7", b"8", b"9"]
    assert list(batch.types) == ["t", "t", "t"]


def test_a_gap_begins_another_batch() -> None:
    batches = batches_of([record(1), record(2), record(4), record(7), record(8)])
    assert [(batch.first_offset, batch.next_offset) for batch in batches] == [(1, 3), (4, 5), (7, 9)]


def test_the_type_is_the_header_of_that_name_or_nothing() -> None:
    batches = batches_of([record(1, (("other", b"x"), ("type", "表".encode()))), record(2, ())])
    assert list(batches[0].types) == ["表", ""]
