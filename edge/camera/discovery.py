"""Which Axis cameras are near: the one door to multicast DNS."""

import logging
import socket
import threading
from dataclasses import dataclass

from zeroconf import InterfaceChoice, IPVersion, ServiceBrowser, ServiceInfo, ServiceListener, Zeroconf

from edge.errors import OperatorError, WorldError

# The first since ever, the others from AXIS OS 11.4 on.
SERVICES = ("_axis-video._tcp.local.", "_vapix-http._tcp.local.", "_vapix-https._tcp.local.")
_ASK_MS = 500
# A network that shows more is not one of cameras.
_AT_MOST = 512


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A camera that announces itself. Nothing of this was checked: anybody on the network can say so."""

    name: str
    serial: str
    """Its MAC address without colons; empty where it does not say."""
    addresses: tuple[str, ...]
    """IPv4 first; an IPv6 address of the link alone names the box's interface after a percent sign."""
    https: bool
    """It announces VAPIX over HTTPS."""


def discover(seconds: float, interface: str | None = None) -> tuple[Neighbour, ...]:
    """Listen for so long; on the interface with this address alone, or on all."""
    # It warns of every interface on which it cannot ask, such as loopback; what counts is who answers.
    logging.getLogger("zeroconf").setLevel(logging.ERROR)
    nearby = _Nearby()
    zeroconf = _listening(interface)
    try:
        ServiceBrowser(zeroconf, list(SERVICES), listener=nearby)
        nearby.enough.wait(seconds)
        infos = [_asked(zeroconf, kind, name) for kind, name in nearby.names()]
    finally:
        zeroconf.close()
    return _merged([info for info in infos if info is not None])


class _Nearby(ServiceListener):
    """Notes who announces what; called from the browser's thread."""

    def __init__(self) -> None:
        self.enough = threading.Event()
        self._lock = threading.Lock()
        self._names: set[tuple[str, str]] = set()

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:  # noqa: ARG002 - the library's signature
        with self._lock:
            self._names.add((type_, name))
            if len(self._names) == _AT_MOST:
                self.enough.set()

    def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Nothing is kept that could have changed: all is asked at the end."""

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:  # noqa: ARG002 - the library's signature
        with self._lock:
            self._names.discard((type_, name))

    def names(self) -> list[tuple[str, str]]:
        """Return who is there."""
        with self._lock:
            return sorted(self._names)[:_AT_MOST]


def _listening(interface: str | None) -> Zeroconf:
    if interface is not None:
        if not _is_ours(interface):
            raise OperatorError(
                f"no interface of this machine has the address {interface}", hint="ip -brief address lists them"
            )
        return Zeroconf([interface])
    try:
        try:
            return Zeroconf(InterfaceChoice.All, ip_version=IPVersion.All)
        except OSError:  # a machine without IPv6
            return Zeroconf(InterfaceChoice.All, ip_version=IPVersion.V4Only)
    except OSError as error:
        raise WorldError(
            f"cannot listen for announcements: {error.strerror or error}",
            hint="check that this machine is on a network; a typed address always works: edge camera probe HOST",
        ) from error


def _is_ours(address: str) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if _is_ipv6(address) else socket.AF_INET, socket.SOCK_DGRAM) as tried:
            tried.bind((address, 0))
    except (OSError, UnicodeError):
        return False
    return True


def _asked(zeroconf: Zeroconf, kind: str, name: str) -> ServiceInfo | None:
    """Return what was announced, asking once where something is missing."""
    info = ServiceInfo(kind, name)
    known = info.load_from_cache(zeroconf) or info.request(zeroconf, _ASK_MS)
    return info if known else None


def _merged(infos: list[ServiceInfo]) -> tuple[Neighbour, ...]:
    """Make one of the several announcements of a camera: those of one serial number, or of one name."""
    cameras: dict[str, list[ServiceInfo]] = {}
    for info in infos:
        cameras.setdefault(_serial(info) or info.get_name(), []).append(info)
    found = [
        Neighbour(
            name=same[0].get_name(),
            serial=_serial(same[0]),
            addresses=_addresses(same),
            https=any("https" in info.type for info in same),
        )
        for same in cameras.values()
    ]
    return tuple(sorted(found, key=lambda each: (each.name, each.addresses)))


def _serial(info: ServiceInfo) -> str:
    raw = info.properties.get(b"macaddress") or b""
    return raw.decode("ascii", "replace").replace(":", "").upper()[:32]


def _addresses(infos: list[ServiceInfo]) -> tuple[str, ...]:
    told = {address for info in infos for address in info.parsed_scoped_addresses()}
    return tuple(sorted(told, key=lambda each: (_is_ipv6(each), each)))


def _is_ipv6(address: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except OSError:
        return False
    return True
