"""What can go wrong, by what to do about it. Every layer raises these; drivers' errors are translated where they arise.

CitybrainError                  the text is one clear line for the person who reads it
├── SettingsError               fix a CITYBRAIN_* variable
├── Unavailable (retryable)     a service cannot be reached now: try again later
├── Unauthenticated             present a valid key
├── Forbidden                   a key of another role is needed
└── …                           each package adds its own beside the code that raises them
"""

from __future__ import annotations

from typing import ClassVar


class CitybrainError(Exception):
    """Something went wrong that one line can explain."""

    retryable: ClassVar[bool] = False


class SettingsError(CitybrainError):
    """A setting is missing, unknown or contradicts another."""


class Unavailable(CitybrainError):
    """A service that is needed cannot be reached now."""

    retryable: ClassVar[bool] = True


class Unauthenticated(CitybrainError):
    """No key, or one that is wrong, expired or revoked."""


class Forbidden(CitybrainError):
    """The key's role may not do this."""
