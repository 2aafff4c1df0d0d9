"""How a login is written: the examples of the standards, and what is chosen."""

import base64

import pytest

from edge.camera.credentials import Credentials
from edge.camera.vapix.login import authorisation, challenges

MUFASA = Credentials("Mufasa", "Circle of Life")
_NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
_CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


def offer(algorithm: str) -> str:
    """The question of RFC 7616, section 3.9.1."""
    return (
        f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, nonce="{_NONCE}",'
        ' opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )


def answered(*offers: str, secure: bool = False, who: Credentials = MUFASA) -> str:
    header = authorisation(offers, who, method="GET", target="/dir/index.html", secure=secure, cnonce=_CNONCE)
    return header.decode() if header is not None else ""


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_the_standard(algorithm: str, response: str) -> None:
    said = next(challenges([answered(offer(algorithm))])).parameters
    assert said["response"] == response
    assert said["qop"] == "auth"
    assert said["nc"] == "00000001"
    assert said["opaque"].startswith("FQhe")


def test_a_camera_without_quality_of_protection_is_answered_the_old_way() -> None:
    # RFC 2069, section 2.4, with its erratum.
    said = authorisation(
        ['Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'],
        Credentials("Mufasa", "CircleOfLife"),
        method="GET",
        target="/dir/index.html",
        secure=False,
        cnonce="unused",
    )
    assert said is not None
    assert b'response="1949323746fe6a43ef61f9606e7febea"' in said
    assert b"qop" not in said


def test_the_strongest_digest_is_chosen_wherever_it_stands() -> None:
    for offers in ((offer("MD5"), offer("SHA-256")), (f"{offer('SHA-256')}, {offer('MD5')}",)):
        assert "algorithm=SHA-256" in answered(*offers)


def test_basic_is_for_encrypted_connections_and_for_want_of_a_digest() -> None:
    basic = 'Basic realm="camera"'
    assert answered(basic) == ""
    assert answered(basic, secure=True) == "Basic " + base64.b64encode(b"Mufasa:Circle of Life").decode()
    assert answered(basic, offer("MD5"), secure=True).startswith("Digest")


@pytest.mark.parametrize(
    "question",
    [
        "",
        "Bearer",
        "Digest",
        'Digest realm="x"',
        offer("SHA-1"),
        offer("MD5").replace("auth, auth-int", "auth-int"),
        'Digest realm="x", nonce="unclosed',
        "\x00,,,===",
    ],
)
def test_a_question_that_cannot_be_answered_gets_no_password(question: str) -> None:
    assert answered(question, secure=False) == ""


def test_quotation_marks_in_names_do_not_end_them() -> None:
    said = answered('Digest realm="a \\"b\\"", nonce="n"', who=Credentials('ro"ot\\', "x"))
    assert next(challenges([said])).parameters["username"] == 'ro"ot\\'
    assert next(challenges([said])).parameters["realm"] == 'a "b"'
