"""What can go wrong between a client and a city. Each text is one clear line, and none ever holds a key.

ClientError          the address, the key's form or the spool are wrong: nothing to retry
├── PostRefused      the city refuses these posts: a wrong key
│   └── BodyTooLarge post fewer at once
└── SpoolFull        no more fits: the city was away for too long
CityUnreachable      the city did not answer for too long (retryable)
"""

from __future__ import annotations

from citybrain.errors import CitybrainError, Unavailable


class ClientError(CitybrainError):
    """The address, the key's form or the spool are wrong."""


class PostRefused(ClientError):
    """The city refuses what is posted, and would refuse it again."""


class BodyTooLarge(PostRefused):
    """The city takes no post this large."""


class SpoolFull(ClientError):
    """The spool has reached its limit; what was put before is safe."""


class CityUnreachable(Unavailable):
    """The city did not answer for too long."""
