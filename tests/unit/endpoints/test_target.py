"""Reading URLs of endpoints, and which addresses are public."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from citybrain.endpoints.addresses import Policy, TargetRefused, is_public
from citybrain.endpoints.target import read_target
from endpoint_targets import REFUSED

PUBLIC_ONLY = Policy()
LOOPBACK = Policy((ip_network("127.0.0.0/8"),), plain_http=True)


@pytest.mark.parametrize("url", REFUSED)
def test_a_target_that_is_not_plainly_a_public_https_address_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(TargetRefused) as raised:
        read_target(url.replace("{port}", "8443"), PUBLIC_ONLY)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("https://example.org", "https://example.org/"),
        ("https://example.org?key=a", "https://example.org/?key=a"),
        ("HTTPS://Duty.Example.ORG:443/Hook", "https://duty.example.org/Hook"),
        ("https://QYAPI.example.com/webhook/send?key=693a-91f6", "https://qyapi.example.com/webhook/send?key=693a-91f6"),
        ("https://robot.example.com/send?token=x&sign=a%2Bb%3D", "https://robot.example.com/send?token=x&sign=a%2Bb%3D"),
        ("https://8.8.8.8:8443/a/../b", "https://8.8.8.8:8443/a/../b"),
        ("https://[2606:4700:4700:0:0:0:0:1111]/x", "https://[2606:4700:4700::1111]/x"),
        ("https://xn--fsqu00a.example/@a", "https://xn--fsqu00a.example/@a"),
    ],
)  # fmt: skip
def test_a_public_https_url_is_read_and_written_in_one_way(url: str, read: str) -> None:
    target = read_target(url, PUBLIC_ONLY)
    assert target.url == read
    assert read_target(read, PUBLIC_ONLY) == read_target(target.url, PUBLIC_ONLY)
    client = URL(read, encoded=True)
    assert (client.scheme, client.raw_host, client.port, str(client)) == (target.scheme, target.host, target.port, read)


def test_networks_are_allowed_by_setting_and_plain_http_to_them_alone() -> None:
    for url in ("http://127.0.0.1:9000/hook", "https://127.0.0.1/", "http://duty-server:8080/x", "http://localhost/"):
        assert read_target(url, LOOPBACK).url.startswith(url[:5])
    for url in ("http://8.8.8.8/", "https://10.0.0.1/", "http://[::1]/", "http://127.1/", "http://[::ffff:127.0.0.1]/"):
        with pytest.raises(TargetRefused):
            read_target(url, LOOPBACK)
    with pytest.raises(TargetRefused, match="CITYBRAIN_DELIVERY_HTTP"):
        read_target("http://127.0.0.1/", Policy(LOOPBACK.networks))
    assert not LOOPBACK.allows("8.8.8.8", "http")
    assert LOOPBACK.allows("8.8.8.8", "https")
    assert not LOOPBACK.allows("nonsense", "https")
    assert not Policy((ip_network("fe80::/10"),)).allows("fe80::1%eth0", "https")


def test_public_addresses_are_public() -> None:
    for text in ("1.1.1.1", "8.8.8.8", "114.114.114.114", "223.5.5.5", "2606:4700:4700::1111", "2400:3200::1", "2a00:1450::1"):
        assert is_public(ip_address(text))


@given(st.ip_addresses())
def test_what_python_knows_as_private_is_never_public(address: object) -> None:
    found = ip_address(str(address))
    if is_public(found):
        assert found.is_global
        assert not found.is_multicast


@given(st.text(max_size=60), st.sampled_from(["https://{}", "https://{}/", "https://example.org{}", "https://{}@example.org"]))
def test_no_text_is_read_otherwise_than_the_http_client_reads_it(text: str, form: str) -> None:
    try:
        target = read_target(form.format(text), PUBLIC_ONLY)
    except TargetRefused:
        return
    client = URL(target.url, encoded=True)
    assert (client.raw_host, client.port, client.user, client.fragment) == (target.host, target.port, None, "")
