"""Which certificate of a camera is believed.

Cameras make their own, in a name that is not the address at which they are asked. So a file may hold either the
certificate of an authority, whose cameras must then be who they say they are, or the camera's very own: then that
one, byte for byte, and no other is believed, whatever name and dates it bears. There is no third way.
"""

import hashlib
import re
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edge.camera.address import Address
from edge.camera.errors import Reason, stream_trouble, untrusted
from edge.errors import OperatorError

# What comes encrypted, and its usual port.
_PORTS = {"https": 443, "rtsps": 322}
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def context_for(host: str, port: int, ca_file: Path | None, *, timeout_s: float) -> ssl.SSLContext:
    """Return what an encrypted connection to a camera must satisfy; None: the machine's own authorities.

    It looks at the camera's certificate first, without sending anything; an OSError if that cannot be.
    """
    if ca_file is None:
        return ssl.create_default_context()
    known = certificates(ca_file)
    if shown_by(host, port, timeout_s=timeout_s) in known:
        return _only(known)
    return ssl.create_default_context(cadata=b"".join(known))


def certificates(file: Path) -> tuple[bytes, ...]:
    """Read the certificates (PEM) in a file, as DER."""
    try:
        text = file.read_text(encoding="ascii")
        found = tuple(ssl.PEM_cert_to_DER_cert(pem) for pem in _PEM.findall(text))
    except OSError as error:
        raise OperatorError(f"certificate file {file} cannot be read: {error.strerror}") from error
    except ValueError:
        found = ()
    if not found:
        raise OperatorError(f"certificate file {file} holds no certificate", hint="it must be in PEM form")
    return found


def shown_by(host: str, port: int, *, timeout_s: float) -> bytes:
    """Return the certificate (DER) that a host shows, believing nothing."""
    unbelieving = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unbelieving.check_hostname, unbelieving.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((host, port), timeout=timeout_s) as plain,
        unbelieving.wrap_socket(plain, server_hostname=host) as encrypted,
    ):
        return encrypted.getpeercert(binary_form=True) or b""


def fingerprint_of(host: str, port: int, *, timeout_s: float) -> str:
    """Write the SHA-256 of the certificate that a host shows, as browsers do; empty where that cannot be had."""
    try:
        return hashlib.sha256(shown_by(host, port, timeout_s=timeout_s)).digest().hex(":").upper()
    except OSError:
        return ""


def checked(address: Address, ca_file: str | None, *, timeout_s: float) -> dict[str, str]:
    """Return the options with which FFmpeg checks the certificate of a stream, where there is one.

    By itself it would believe any. Raises a CameraError where the certificate is not known.
    """
    if address.scheme not in _PORTS:
        return {}
    place = urlsplit(address.place)
    host, port = place.hostname or "", place.port or _PORTS[address.scheme]
    file = Path(ca_file).expanduser() if ca_file else None
    try:
        return _decoder_options(host, port, file, timeout_s=timeout_s)
    except ssl.SSLCertVerificationError:
        trouble = untrusted(address.place, fingerprint_of(host, port, timeout_s=timeout_s))
    except TimeoutError:
        trouble = stream_trouble(address.place, Reason.TIMEOUT)
    except OSError:
        return {"tls_verify": "1"}  # the decoder meets what else there is, and its words are understood
    raise trouble


def _decoder_options(host: str, port: int, ca_file: Path | None, *, timeout_s: float) -> dict[str, str]:
    """Look first, by a connection of its own, since FFmpeg does not say that it was the certificate."""
    context = context_for(host, port, ca_file, timeout_s=timeout_s)
    pinned = context.verify_mode is ssl.CERT_NONE
    if ca_file is not None and pinned:
        # FFmpeg can be told a name to expect, not a certificate: the name in the one that was named.
        context = ssl.create_default_context(cadata=b"".join(certificates(ca_file)))
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    with (
        socket.create_connection((host, port), timeout=timeout_s) as plain,
        context.wrap_socket(plain, server_hostname=host) as encrypted,
    ):
        name = _name_in(encrypted.getpeercert() or {}) if pinned else host
    authorities = str(ca_file) if ca_file is not None else ssl.get_default_verify_paths().cafile
    return {"tls_verify": "1", "verifyhost": name} | ({"ca_file": authorities} if authorities else {})


def _name_in(certificate: Mapping[str, Any]) -> str:
    """Return the name, or else the address, that a certificate bears."""
    for _, name in certificate.get("subjectAltName", ()):
        return str(name)
    parts = (part for group in certificate.get("subject", ()) for part in group)
    return str(dict(parts).get("commonName", ""))


def _only(known: tuple[bytes, ...]) -> ssl.SSLContext:
    """Believe these certificates and no other; the handshake proves that the camera has the key to its own."""

    class Pinned(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            if self.getpeercert(binary_form=True) not in known:
                raise ssl.SSLCertVerificationError("another certificate than the one that was named")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.sslsocket_class = Pinned
    return context
