"""A deployment for a test."""

import msgspec

from edge.wire.watchlist import Deployment


def deployment(from_ms: int, until_ms: int, **changes: object) -> Deployment:
    made = Deployment(
        id="square-1",
        purpose="find the wanted",
        legal_basis="an order of the court",
        authorised_by="A. Officer",
        place="Market square",
        from_ms=from_ms,
        until_ms=until_ms,
    )
    return msgspec.structs.replace(made, **changes)
