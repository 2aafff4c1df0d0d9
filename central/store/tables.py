"""What the centre keeps, and for how long (retention: service.py).

Times are milliseconds since 1970, UTC. A schema change raises `SCHEMA` in database.py.
"""

from dataclasses import dataclass

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Integer, LargeBinary, MetaData, String, Table
from sqlalchemy import UniqueConstraint as Unique

from central.store.cipher import Cipher, Locked, LockedText


def _milliseconds(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


@dataclass(frozen=True)
class Tables:
    """Every table; the encrypted columns are bound to one cipher."""

    metadata: MetaData
    meta: Table
    counters: Table
    devices: Table
    device_health: Table
    invitations: Table
    groups: Table
    published: Table
    rollouts: Table
    rollout_boxes: Table
    candidates: Table
    inbox: Table
    tallies: Table
    entries: Table
    references: Table
    sightings: Table
    alerts: Table


def make_tables(cipher: Cipher) -> Tables:
    """Describe the tables, encrypting with this cipher."""
    metadata = MetaData()
    return Tables(
        metadata=metadata,
        meta=Table("meta", metadata, Column("name", String(64), primary_key=True), Column("value", String(512))),
        counters=Table(
            "counters",
            metadata,
            Column("name", String(64), primary_key=True),
            Column("value", BigInteger, nullable=False),
        ),
        **_fleet(metadata),
        **_pushes(metadata),
        **_arrivals(metadata),
        **_watchlist(metadata, cipher),
        **_outcomes(metadata, cipher),
    )


def _fleet(metadata: MetaData) -> dict[str, Table]:
    devices = Table(
        "devices",
        metadata,
        Column("id", String(64), primary_key=True),
        Column("curve_public", String(40), nullable=False, unique=True),
        Column("seal_public", String(64), nullable=False),
        _milliseconds("admitted_at_ms"),
        Column("revoked", Boolean, nullable=False, default=False),
    )
    health = Table(
        "device_health",
        metadata,
        Column("device", String(64), primary_key=True),
        _milliseconds("heard_at_ms"),
        _milliseconds("sent_at_ms"),
        Column("waiting", BigInteger, nullable=False),
        Column("shed", BigInteger, nullable=False),
        Column("seeing", Boolean, nullable=False),
        Column("troubles", String(32 * 600), nullable=False),
        Column("camera", String(4096), nullable=False),
        # What it says of pushed states, as JSON, and since when; empty: it said nothing of them.
        Column("applied", String(2048), nullable=False, server_default=""),
        Column("applied_since_ms", BigInteger, nullable=False, server_default="0"),
    )
    invitations = Table(
        "invitations",
        metadata,
        # One for each id: another invitation takes the place of the one before.
        Column("device", String(64), primary_key=True),
        # The public half of the token: whoever reads this database cannot announce a box with it.
        Column("token", String(40), nullable=False, unique=True),
        _milliseconds("invited_at_ms"),
        _milliseconds("expires_at_ms"),
        Column("admit", Boolean, nullable=False),
        # Empty until the box has announced its keys, which spends the invitation.
        Column("curve_public", String(40), nullable=False, default=""),
        Column("seal_public", String(64), nullable=False, default=""),
        Column("announced_at_ms", BigInteger, nullable=True),
    )
    return {"devices": devices, "device_health": health, "invitations": invitations}


def _pushes(metadata: MetaData) -> dict[str, Table]:
    groups = Table(
        "device_groups",
        metadata,
        Column("name", String(64), primary_key=True),
        Column("device", String(64), primary_key=True),
    )
    published = Table(
        "published",
        metadata,
        Column("number", Integer, primary_key=True),
        Column("device", String(64), nullable=False, index=True),
        Column("word", String(64), nullable=False),
        _milliseconds("at_ms"),
        # A word for each part, so that it can be told which of them differ; empty: there is none.
        *(Column(part, String(64), nullable=False) for part in ("config", "watchlist", "models")),
        Column("embedder", String(64), nullable=False),
        Column("deployment", String(8192), nullable=False),
    )
    rollouts = Table(
        "rollouts",
        metadata,
        Column("number", Integer, primary_key=True),
        Column("what", String(16), nullable=False),
        Column("target", String(64), nullable=False),
        Column("model", String(128), nullable=False),
        Column("payload", String(64), nullable=False),
        Column("stages", String(256), nullable=False),
        Column("halts", Boolean, nullable=False),
        _milliseconds("patience_ms"),
        _milliseconds("begun_at_ms"),
        Column("stage", Integer, nullable=False),
        Column("status", String(16), nullable=False, index=True),
        Column("why", String(1024), nullable=False),
    )
    boxes = Table(
        "rollout_boxes",
        metadata,
        Column("rollout", Integer, ForeignKey(rollouts.c.number), primary_key=True),
        Column("device", String(64), primary_key=True),
        Column("stage", Integer, nullable=False),
        Column("outcome", String(16), nullable=False),
        Column("word", String(64), nullable=False),
        _milliseconds("published_at_ms"),
        # How it was before, to be as well afterwards.
        Column("was_seeing", Boolean, nullable=False),
        Column("had_troubles", Integer, nullable=False),
        Column("why", String(1024), nullable=False),
    )
    return {"groups": groups, "published": published, "rollouts": rollouts, "rollout_boxes": boxes}


def _arrivals(metadata: MetaData) -> dict[str, Table]:
    candidates = Table(
        "candidates",
        metadata,
        Column("device", String(64), primary_key=True),
        Column("event_id", String(64), primary_key=True),
        _milliseconds("raised_at_ms"),
        Column("received_at_ms", BigInteger, nullable=False, index=True),
        # `waiting` until alerting has judged it; then a Verdict, `superseded`, or `set-aside`.
        Column("outcome", String(32), nullable=False),
    )
    inbox = Table(
        "inbox",
        metadata,
        Column("number", Integer, primary_key=True),
        Column("device", String(64), nullable=False),
        Column("event_id", String(64), nullable=False),
        _milliseconds("raised_at_ms"),
        _milliseconds("received_at_ms"),
        # Sealed by the box for keys/seal.key: not encrypted a second time.
        Column("payload", LargeBinary, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("set_aside", String(32), nullable=True, index=True),
    )
    tallies = Table(
        "tallies",
        metadata,
        Column("device", String(64), primary_key=True),
        Column("tally_id", String(64), primary_key=True),
        Column("camera", String(64), nullable=False),
        _milliseconds("from_ms"),
        _milliseconds("until_ms"),
        *(Column(name, BigInteger, nullable=False) for name in TALLIED),
    )
    return {"candidates": candidates, "inbox": inbox, "tallies": tallies}


TALLIED = ("frames", "dropped", "faces", "tracks", "unusable", "candidates")


def _watchlist(metadata: MetaData, cipher: Cipher) -> dict[str, Table]:
    entries = Table(
        "entries",
        metadata,
        Column("id", String(64), primary_key=True),
        Column("name", LockedText(cipher), nullable=False),
        Column("name_mark", String(40), nullable=False, unique=True),
        _milliseconds("created_at_ms"),
    )
    references = Table(
        "references",
        metadata,
        Column("id", String(64), primary_key=True),
        Column("entry", ForeignKey("entries.id", ondelete="CASCADE"), nullable=False, index=True),
        Column("photo_mark", String(40), nullable=False, unique=True),
        Column("photo", Locked(cipher), nullable=False),
        Column("crop", Locked(cipher), nullable=False),
        Column("landmarks", Locked(cipher), nullable=False),
        Column("template", Locked(cipher), nullable=False),
        Column("model_sha256", String(64), nullable=False),
        Column("quality", Float, nullable=False),
        _milliseconds("enrolled_at_ms"),
    )
    return {"entries": entries, "references": references}


def _outcomes(metadata: MetaData, cipher: Cipher) -> dict[str, Table]:
    sightings = Table(
        "sightings",
        metadata,
        Column("id", String(64), primary_key=True),
        Column("entry", ForeignKey("entries.id", ondelete="CASCADE"), nullable=False, index=True),
        _milliseconds("from_ms"),
        _milliseconds("until_ms"),
    )
    alerts = Table(
        "alerts",
        metadata,
        Column("id", String(64), primary_key=True),
        Column("number", BigInteger, nullable=False, unique=True),
        Column("change", BigInteger, nullable=False, unique=True),
        Column("device", String(64), nullable=False),
        Column("track_id", String(64), nullable=False),
        Column("revision", BigInteger, nullable=False),
        Column("event_id", String(64), nullable=False),
        Column("entry", ForeignKey("entries.id", ondelete="CASCADE"), nullable=False),
        Column("sighting", ForeignKey("sightings.id"), nullable=False, index=True),
        Column("reference", ForeignKey("references.id", ondelete="CASCADE"), nullable=False),
        Column("camera", String(64), nullable=False),
        Column("score", Float, nullable=False),
        Column("threshold", Float, nullable=False),
        Column("late", Boolean, nullable=False),
        *(
            _milliseconds(name)
            for name in ("first_seen_ms", "captured_at_ms", "raised_at_ms", "taken_at_ms", "received_at_ms")
        ),
        _milliseconds("alerted_at_ms"),
        Column("revised_at_ms", BigInteger, nullable=False, index=True),
        Column("frame", BigInteger, nullable=False),
        *(Column(name, Float, nullable=False) for name in ("box_x", "box_y", "box_width", "box_height")),
        Column("probe", Locked(cipher), nullable=False),
        Unique("device", "track_id"),
    )
    return {"sightings": sightings, "alerts": alerts}
