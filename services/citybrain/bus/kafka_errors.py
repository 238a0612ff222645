"""What aiokafka's errors mean, in one line, and why a server cannot be used. Called by the other kafka_* modules.

aiokafka says only that it could not reach any server; `why_not` tries each once more and tells what happened: name, port, TLS,
password, protocol. No text ever holds a password.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka import errors as kafka
from aiokafka.conn import create_conn
from aiokafka.protocol.metadata import MetadataRequest

from citybrain.bus.kafka_settings import KafkaSettings, security_arguments
from citybrain.bus.port import BusUnavailable
from citybrain.errors import CitybrainError

LOOK_TIMEOUT_S = 3
DRIVER_ERRORS = (kafka.KafkaError, OSError, TimeoutError)
_TIMEOUTS = (TimeoutError, kafka.KafkaTimeoutError, kafka.RequestTimedOutError)
_LINES: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    (
        (kafka.TopicAuthorizationFailedError,),
        "Kafka does not let this user use the topic: it needs Describe, DescribeConfigs, Read and Write on it",
    ),
    ((kafka.GroupAuthorizationFailedError,), "Kafka does not let this user join the group: it needs Read on groups citybrain.*"),
    (
        (kafka.ClusterAuthorizationFailedError,),
        "Kafka does not let this user do that: it needs IdempotentWrite, or Create where it makes topics",
    ),
    (
        (kafka.InvalidSessionTimeoutError,),
        "Kafka refuses CITYBRAIN_KAFKA_SESSION_TIMEOUT: the broker wants group.min.session.timeout.ms (6 s by default) or more",
    ),
    (
        (kafka.InconsistentGroupProtocolError, kafka.InvalidGroupIdError),
        "Kafka refuses the group: somebody else uses one named citybrain.*; let them use another name",
    ),
    (
        (kafka.UnsupportedVersionError, kafka.IncompatibleBrokerVersion),
        "this Kafka does not know what is asked of it: 2.4 or later is needed",
    ),
    ((kafka.UnknownTopicOrPartitionError,), "the topic does not exist, or this user may not see it"),
    ((kafka.NotEnoughReplicasError, kafka.NotEnoughReplicasAfterAppendError), "too few replicas of the topic are in sync"),
    (
        (kafka.MessageSizeTooLargeError, kafka.RecordListTooLargeError),
        "Kafka takes no record of this size (max.message.bytes)",
    ),
    (_TIMEOUTS, "Kafka did not answer in time"),
    ((kafka.KafkaConnectionError,), "the connection to Kafka was lost"),
)
_REASONS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((socket.gaierror,), "has a name that cannot be resolved"),
    ((ConnectionRefusedError,), "refuses connections: nothing listens there"),
    ((ssl.SSLError,), "does not speak TLS with us: see CITYBRAIN_KAFKA_SECURITY"),
    ((kafka.SaslAuthenticationFailed, kafka.AuthenticationFailedError), "refuses the user or password of {user}"),
    ((kafka.UnsupportedSaslMechanismError,), "does not offer {mechanism}: see CITYBRAIN_KAFKA_SASL_MECHANISM"),
    ((kafka.IllegalSaslStateError,), "asks for no user: see CITYBRAIN_KAFKA_SECURITY"),
    (
        (kafka.KafkaConnectionError, ConnectionResetError, ConnectionAbortedError),
        "closed the connection: it is no Kafka, or its listener is not {security} (CITYBRAIN_KAFKA_SECURITY)",
    ),
    (_TIMEOUTS, "does not answer as Kafka would with {security}"),
)


class RecordTooLarge(CitybrainError):
    """Kafka takes no record of this size."""


class TopicWasReplaced(CitybrainError):
    """A reader has read more than the topic holds."""


def may_pass(error: BaseException) -> bool:
    """Whether waiting may heal it: Kafka was not reached, or is busy with itself. What it refused it refuses again."""
    return not isinstance(error, kafka.KafkaError) or isinstance(error, _TIMEOUTS) or bool(error.retriable)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise what aiokafka raises as BusUnavailable; `doing` begins its line."""
    try:
        yield
    except DRIVER_ERRORS as error:
        raise BusUnavailable(f"{doing}: {line_of(error)}") from error


def line_of(error: BaseException) -> str:
    """An error of aiokafka as part of a line."""
    return next((text for kinds, text in _LINES if isinstance(error, kinds)), f"Kafka refused it ({type(error).__name__})")


async def why_not(servers: str, settings: KafkaSettings) -> str | None:
    """Why none of the servers (host:port,…) can be used, in one line; None when one can."""
    found: list[str] = []
    for server in servers.split(","):
        reason = await _why_not(server, settings)
        if reason is None:
            return None
        found.append(f"{server} {reason}")
    return f"Kafka cannot be used: {'; '.join(found)}"


async def _why_not(server: str, settings: KafkaSettings) -> str | None:
    host, _, port = server.rpartition(":")
    try:
        async with asyncio.timeout(LOOK_TIMEOUT_S):
            connection = await create_conn(
                host.strip("[]"), int(port), request_timeout_ms=LOOK_TIMEOUT_S * 1000, **security_arguments(settings)
            )
            try:
                await connection.send(MetadataRequest([]))
            finally:
                connection.close()
    except DRIVER_ERRORS as error:
        return _reason(error, settings)
    return None


def _reason(error: BaseException, settings: KafkaSettings) -> str:
    """Why a connection failed; continues `host:port …`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"has a certificate that is not trusted ({error.verify_message}): see CITYBRAIN_KAFKA_CA_FILE"
    text = next((text for kinds, text in _REASONS if isinstance(error, kinds)), None)
    if text is None:
        detail = error.strerror if isinstance(error, OSError) else None
        return f"cannot be used: {detail or type(error).__name__}"
    return text.format(security=settings.security, mechanism=settings.sasl_mechanism, user=settings.user)
