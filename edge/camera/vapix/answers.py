"""What an Axis camera answers, checked at birth."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

Text = Annotated[str, Meta(max_length=256)]
Data = TypeVar("Data")


class Failure(Struct, frozen=True):
    """Why a call was not carried out; it comes with HTTP status 200."""

    code: int


class _Envelope(Struct, frozen=True):
    data: msgspec.Raw = msgspec.Raw()
    error: Failure | None = None


class Identity(Struct, frozen=True, rename="pascal"):
    """Who the camera is; anybody may ask, unless an administrator has turned that off."""

    brand: Text
    prod_nbr: Text
    """The model, such as P3265-LVE."""
    serial_number: Text
    """Its MAC address, in practice."""
    version: Text
    """Of AXIS OS."""
    prod_full_name: Text = ""


class Properties(Identity, frozen=True, rename="pascal"):
    """What the camera tells those who have logged in, besides."""

    soc: Text = ""
    """The chip."""
    architecture: Text = ""
    build_date: Text = ""
    hardware_id: Annotated[str, Meta(max_length=256)] = msgspec.field(default="", name="HardwareID")


class PropertyList(Struct, frozen=True, rename="camel"):
    """The frame in which identities come."""

    property_list: msgspec.Raw


class Readiness(Struct, frozen=True):
    """Whether the camera has started."""

    systemready: Text
    """yes or no."""
    needsetup: Text = "no"
    """yes: it is factory-new."""
    uptime: Text = ""
    """Seconds since it started."""
    bootid: Text = ""
    """Another one after each start."""


class DateTime(Struct, frozen=True, rename="camel"):
    """What time it is by the camera."""

    date_time: Text
    """UTC, ISO 8601, to the second."""


class StreamProfile(Struct, frozen=True):
    """Parameters of a stream that have a name on the camera."""

    name: Text
    parameters: Annotated[str, Meta(max_length=4096)] = ""


class StreamProfiles(Struct, frozen=True, rename="camel"):
    """All of them; a camera has at most a few dozen."""

    stream_profile: tuple[StreamProfile, ...] = ()


@dataclass(frozen=True)
class Parameters:
    """Lines of the camera's own configuration, without `root.`."""

    values: Mapping[str, str]

    def get(self, name: str, default: str = "") -> str:
        """Return one value."""
        return self.values.get(name, default)


class UnreadableError(ValueError):
    """The bytes are not what this camera should have sent."""


def read_json(body: bytes, kind: type[Data]) -> Data | Failure:
    """Read the data of a JSON answer, or why there is none."""
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
        return envelope.error or msgspec.json.decode(envelope.data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableError from error


def read_properties(body: bytes, kind: type[Data]) -> Data | Failure:
    """Read an identity."""
    found = read_json(body, PropertyList)
    if isinstance(found, Failure):
        return found
    try:
        return msgspec.json.decode(found.property_list, type=kind)
    except msgspec.DecodeError as error:
        raise UnreadableError from error


def read_parameters(body: bytes) -> Parameters:
    """Read lines of root.X=Y, also without `root.`; complaints about groups that are not there begin with #."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableError from error
    values: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, value = line.partition("=")
        if line.startswith("#"):
            continue
        if not equals or " " in name:
            raise UnreadableError
        values[name.removeprefix("root.")] = value
    return Parameters(values)


def request(method: str, version: str = "1.0", parameters: Mapping[str, Any] | None = None) -> bytes:
    """Write a call of a JSON interface."""
    said = {"apiVersion": version, "method": method} | ({"params": parameters} if parameters is not None else {})
    return msgspec.json.encode(said)
