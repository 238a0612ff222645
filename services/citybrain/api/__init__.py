"""The reading API: what was measured where and when, read from the tables that aggregate writes. It changes nothing."""

from citybrain.api.parts import ApiParts
from citybrain.api.router import create_api

__all__ = ["ApiParts", "create_api"]
