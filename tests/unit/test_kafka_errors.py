"""What Kafka refuses is told with what to change, and told apart from what passes."""

from __future__ import annotations

import pytest
from aiokafka import errors as kafka

from citybrain.bus.kafka_errors import line_of, may_pass


@pytest.mark.parametrize(
    ("error", "change"),
    [
        (kafka.InvalidSessionTimeoutError, "CITYBRAIN_KAFKA_SESSION_TIMEOUT"),
        (kafka.GroupAuthorizationFailedError, "Read on groups citybrain.*"),
        (kafka.TopicAuthorizationFailedError, "Describe, DescribeConfigs, Read and Write"),
        (kafka.ClusterAuthorizationFailedError, "IdempotentWrite"),
        (kafka.InconsistentGroupProtocolError, "use another name"),
        (kafka.UnsupportedVersionError, "2.4 or later"),
    ],
)
def test_what_no_waiting_heals_says_which_setting_or_right_to_change(error: type[Exception], change: str) -> None:
    assert change in line_of(error())
    assert not may_pass(error())


@pytest.mark.parametrize(
    "error", [kafka.KafkaConnectionError, kafka.KafkaTimeoutError, kafka.GroupCoordinatorNotAvailableError, OSError, TimeoutError]
)
def test_a_kafka_that_is_away_or_busy_may_come_back(error: type[Exception]) -> None:
    assert may_pass(error())
