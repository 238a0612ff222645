"""Who may do what: keys, roles, and finding out who asks."""

from citybrain.access.authenticate import Access
from citybrain.access.principal import Principal, Role

__all__ = ["Access", "Principal", "Role"]
