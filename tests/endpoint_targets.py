"""Targets that webhooks may never reach without a setting, in every disguise; `{port}` is where a test listens."""

from __future__ import annotations

_HERE = [
    "0.0.0.0",  # noqa: S104 - nobody listens there
    "127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "2130706433", "0x7f000001", "0X7F000001", "0x7f.0.0.1", "0x7f.1",
    "017700000001", "0177.0.0.1", "0177.0.0.01", "127.0.0.1.", "127.0.0.1..", "0", "0.0.0.1", "127.0x0.0.1",
    "127.0.0.0x1", "127.00.0.1", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[0000::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "[::FFFF:127.0.0.1]", "[::127.0.0.1]", "[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[::1%25lo]", "[::1%lo]", "[fe80::1%25eth0]", "localhost",
    "localhost.", "LocalHost", "sub.localhost", "db", "printer.local", "ⓛocalhost", "①②⑦.⓪.⓪.①", "127。0。0。1", "１２７.0.0.1",
    "loca\xadlhost", "%6cocalhost", "127.0.0.1%00.example.org", "127.0.0.1%2eexample.org", "-a.example.org", "a..example.org",
]  # fmt: skip
_PRIVATE = [
    "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.169.254", "169.254.0.1",
    "100.64.0.1", "100.127.255.254", "192.0.0.1", "192.0.0.170", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "0xa9fea9fe", "2852039166",
    "0251.0376.0251.0376", "169.254.43518", "[::ffff:169.254.169.254]", "[64:ff9b::169.254.169.254]", "[64:ff9b::10.0.0.1]",
    "[64:ff9b:1:2::a00:1]", "[2002:a00:1::]", "[2002:a9fe:a9fe::]", "[2001:0:a00:1::]", "[fc00::1]", "[fd00:ec2::254]",
    "[fe80::1]", "[fec0::1]", "[feff::1]", "[ff02::1]", "[ff0e::1]", "[100::1]", "[100:0:0:1::1]", "[2001:db8::1]",
    "[2001:2::1]", "[2001:10::1]", "[2001:20::1]", "[3fff::1]", "[5f00::1]", "[4000::1]", "[::ffff:10.0.0.1]", "[::10.0.0.1]",
    "[::ffff:0a00:0001]",
]  # fmt: skip
_OTHER = [
    "http://127.0.0.1:{port}/", "http://example.org:{port}/", "ftp://127.0.0.1:{port}/", "file:///etc/passwd#{port}",
    "gopher://127.0.0.1:{port}/_x", "https://user:password@127.0.0.1:{port}/", "https://example.org@127.0.0.1:{port}/",
    "https://127.0.0.1:{port}#@example.org/", "https://example.org:443@127.0.0.1:{port}/",
    "https://example.org\\@127.0.0.1:{port}/", "//127.0.0.1:{port}/hook", "https:127.0.0.1:{port}",
    "https:/127.0.0.1:{port}/", "https:\\\\127.0.0.1:{port}\\hook", "https://127.0.0.1:{port}\t/",
    "https://127.0.0.1:{port}\r\nX: y", "https:///127.0.0.1:{port}/", " https://127.0.0.1:{port}/",
    "https://127.0.0.1:{port}/ ", "https://127.0.0.1 :{port}/", "https://example.org/\r\nHost: x", "https://example.org/#x",
    "https://example.org:0/", "https://example.org:65536/", "https://example.org:٤٤٣/", "https://example.org:/",
    "javascript:alert(1)", "https://", "", "unix:/run/postgresql/.s.PGSQL.{port}", "https://[::1/", "https://::1/",
    "https://[]/", "https://.../", "https://example.org/%zz", "https://example.org/停车场", "https://例子.example/",
    "https://" + "a" * 64 + ".org/", "https://example.org/" + "a" * 2048,
]  # fmt: skip

REFUSED = [f"https://{host}:{{port}}/hook" for host in _HERE + _PRIVATE] + _OTHER
