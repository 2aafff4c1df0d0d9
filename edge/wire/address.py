"""Addresses of the link as people write them."""

import re

from edge.errors import OperatorError

_TCP = re.compile(r"tcp://(?:[A-Za-z0-9._-]+|\*|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,9}|\*)")


def checked(endpoint: str, *, what: str) -> str:
    """Return an address as ZeroMQ takes it, `tcp://host:port` or `ipc://path`; raises `OperatorError`.

    ZeroMQ itself would take port 70000 and listen on 4464. A listener may leave the port to be found: `:*`.
    """
    tcp = _TCP.fullmatch(endpoint)
    port = tcp["port"] if tcp else "0"
    if not endpoint.startswith("ipc://") and not (port == "*" or 1 <= int(port) <= 65535):
        raise OperatorError(f"not an address: {endpoint[:200]!r}", hint=f"{what} looks like tcp://host:5810")
    return endpoint
