"""Certificates that a camera may show, made on the spot."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def self_signed(path: Path, name: str) -> Path:
    """Write a certificate and its key into one file, as a camera makes them for itself; return the file.

    Cameras use their serial number as the name, not the address at which they are asked.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    return _written(path, _made(name, x509.DNSName(name), key, by=name, signer=key, authority=True), key)


def signed_by_an_authority(folder: Path, address: str) -> tuple[Path, Path]:
    """Write an authority's certificate, and one of a camera at this address with its key."""
    authority, camera = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name, at = "Somebody's authority", x509.IPAddress(ip_address(address))
    its_own = _made(name, x509.DNSName("authority"), authority, by=name, signer=authority, authority=True)
    cameras = _made("camera", at, camera, by=name, signer=authority, authority=False)
    return (
        _written(folder / f"authority-{address}.pem", its_own, authority),
        _written(folder / f"camera-{address}.pem", cameras, camera),
    )


def _made(
    name: str,
    alternative: x509.GeneralName,
    key: ec.EllipticCurvePrivateKey,
    *,
    by: str,
    signer: ec.EllipticCurvePrivateKey,
    authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(_called(name))
        .issuer_name(_called(by))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuer, critical=False)
        .sign(signer, hashes.SHA256())
    )


def _called(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _written(path: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Path:
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + secret)
    return path
