"""Reading an endpoint's URL: one strict parser, whose result is what is connected to. Called by API, commands, deliver.

Pure: resolves no names. Whatever two parsers might read differently is refused: user names, fragments, backslashes, control
characters, letters outside ASCII, and every spelling of an address but the usual one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from citybrain.endpoints.addresses import Policy, Scheme, TargetRefused

MAX_URL_CHARS = 2048
_PORTS = {"http": 80, "https": 443}
_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>(?:/(?:[a-z0-9\-._~!$&'()*+,;=:@/]|%[0-9a-f]{2})*)?(?:\?(?:[a-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9a-f]{2})*)?)",
    re.ASCII | re.IGNORECASE,
)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Target:
    """Where webhooks go. `host` is a name in lower case, or an address as Python writes it, without brackets."""

    scheme: Scheme
    host: str
    port: int
    rest: str  # path and query: begins with a slash
    is_address: bool

    @property
    def url(self) -> str:
        """The one text of this target."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.rest}"


@lru_cache(maxsize=1024)
def read_target(text: str, policy: Policy) -> Target:
    """The target of a URL that may be used. Raises TargetRefused, with one clear line."""
    if len(text) > MAX_URL_CHARS:
        raise TargetRefused(f"the URL is longer than {MAX_URL_CHARS} characters")
    found = _URL.fullmatch(text)
    if found is None:
        raise TargetRefused("this is no plain URL like https://example.org/hook (no user, no fragment, ASCII only)")
    scheme: Scheme = "https" if found["scheme"].lower() == "https" else "http"
    port = int(found["port"] or _PORTS[scheme])
    if not 0 < port < 65536:
        raise TargetRefused(f"there is no port {port}")
    host, is_address = _host(found["host"].lower())
    _allowed(host, scheme, policy, is_address=is_address)
    rest = found["rest"] if found["rest"].startswith("/") else "/" + found["rest"]
    return Target(scheme, host, port, rest, is_address)


def _host(text: str) -> tuple[str, bool]:
    """A host, and whether it is an address."""
    if text.startswith("["):
        try:
            return str(IPv6Address(text[1:-1])), True
        except AddressValueError as error:
            raise TargetRefused(f"{text} is no address") from error
    labels = text.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            address = str(IPv4Address(text))
        except AddressValueError as error:
            raise TargetRefused(f"{text} is no address as it is usually written, like 198.51.100.7") from error
        return address, True
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise TargetRefused(f"{text} is no host name")
    return text, False


def _allowed(host: str, scheme: Scheme, policy: Policy, *, is_address: bool) -> None:
    """Refuse at once what can never be allowed; names are looked up, and their addresses vetted, whenever they are used."""
    if scheme == "http" and not (policy.plain_http and policy.networks):
        raise TargetRefused("webhooks go by https; plain http needs CITYBRAIN_DELIVERY_HTTP and CITYBRAIN_DELIVERY_NETWORKS")
    if is_address:
        policy.vet(host, scheme)
    elif not policy.networks and ("." not in host or host.endswith((".localhost", ".local", ".internal"))):
        raise TargetRefused(f"{host} is not a public name; CITYBRAIN_DELIVERY_NETWORKS allows networks of your own")
