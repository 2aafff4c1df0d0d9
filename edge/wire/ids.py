"""Identifiers that sort by the time they were made."""

import secrets
import uuid


def new_id(at_ms: int) -> str:
    """Make a UUIDv7 (RFC 9562, section 5.7) from a time in milliseconds since 1970, UTC."""
    value = (at_ms & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))
