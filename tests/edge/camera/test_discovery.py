"""Cameras that announce themselves, announced by the test itself on loopback."""

import contextlib
import socket
from collections.abc import Iterator

import pytest
from zeroconf import ServiceInfo, Zeroconf

from edge.camera.discovery import Neighbour, discover
from edge.errors import OperatorError
from tests.edge.announcements import announcing_alone

LOOPBACK = "127.0.0.1"
pytestmark = pytest.mark.usefixtures("announcing_alone")
__all__ = ["announcing_alone"]


@contextlib.contextmanager
def announced(*infos: ServiceInfo) -> Iterator[None]:
    zeroconf = Zeroconf(interfaces=[LOOPBACK])
    try:
        for info in infos:
            # Nobody is asked first whether the name is free: that takes most of a second.
            zeroconf.register_service(info, cooperating_responders=True)
        yield
    finally:
        zeroconf.close()


def camera(kind: str, name: str, serial: str | None, *addresses: str) -> ServiceInfo:
    packed = [socket.inet_pton(socket.AF_INET6 if ":" in each else socket.AF_INET, each) for each in addresses]
    return ServiceInfo(
        f"{kind}._tcp.local.",
        f"{name}.{kind}._tcp.local.",
        addresses=packed,
        port=443 if "https" in kind else 80,
        properties={} if serial is None else {"macaddress": serial},
        server=f"{name.replace(' ', '-')}.local.",
    )


@pytest.mark.slow
def test_a_camera_that_announces_itself_twice_is_listed_once_with_all_addresses() -> None:
    name = "AXIS P3265-LVE - B8A44F123456"
    old = camera("_axis-video", name, "b8a44f123456", "192.0.2.10", "fe80::ba:a4ff:fe12:3456")
    new = camera("_vapix-https", name, "B8:A4:4F:12:34:56", "192.0.2.10")
    with announced(old, new):
        found = discover(1.0, LOOPBACK)
    assert found == (
        Neighbour(name=name, serial="B8A44F123456", addresses=("192.0.2.10", "fe80::ba:a4ff:fe12:3456"), https=True),
    )


@pytest.mark.slow
def test_a_camera_that_does_not_say_its_serial_number_is_listed_too() -> None:
    with announced(camera("_axis-video", "gate", None, "192.0.2.11")):
        assert [(each.serial, each.https) for each in discover(1.0, LOOPBACK)] == [("", False)]


def test_an_interface_that_is_not_there_is_told() -> None:
    for interface in ("192.0.2.99", "eth99"):
        with pytest.raises(OperatorError, match="no interface of this machine has the address"):
            discover(0.1, interface)
