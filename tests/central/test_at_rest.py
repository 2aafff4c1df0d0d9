import hashlib
from pathlib import Path

import numpy as np
import pytest

from central.store.cipher import Cipher
from central.store.database import Database
from central.store.entries import NewReference
from central.store.state import StateDir, Store
from edge.errors import IntegrityError
from edge.wire.sealing import SealingKey
from tests.central.stand_ins import LANDMARKS, MODEL, NOON_MS, Desk, candidate, enrol, shot

NAME = "Wilhelmina Unmistakable"


def traces(folder: Path, needles: dict[str, bytes]) -> list[str]:
    """Name each needle that lies in the clear in any file of the database, write-ahead log included."""
    files = list(folder.glob("centre.db*"))
    assert files
    return [
        f"{name} in {path.name}" for path in files for name, needle in needles.items() if needle in path.read_bytes()
    ]


def test_nothing_biometric_lies_in_the_clear_in_the_database(desk: Desk, state: StateDir) -> None:
    entry = enrol(desk.store, NAME, 1)
    desk.take_in(candidate(entry))
    face = desk.store.entries.face(desk.store.entries.of(entry).ids[0])
    template = desk.store.entries.of(entry).templates[0]
    needles = {
        "the photograph": b"photograph of person 1",
        "the enrolled face": face.crop[200:232],
        "any JPEG": b"\xff\xd8\xff\xe0\x00\x10JFIF",
        "the template": template.astype("<f2").tobytes()[:16],
        "the landmarks": np.array(LANDMARKS[:4], "<f4").tobytes(),
        "the probe": shot(1).image[200:232],
        "the name": NAME.encode(),
    }
    assert traces(state.folder, needles) == []
    desk.store.database.settle()
    assert traces(state.folder, needles) == []


def test_the_scan_would_find_what_lies_in_the_clear(desk: Desk, state: StateDir) -> None:
    entry = enrol(desk.store, NAME, 1)
    desk.take_in(candidate(entry, camera="camera-in-the-clear"))
    assert traces(state.folder, {"camera": b"camera-in-the-clear"})


def test_a_candidate_below_the_threshold_leaves_no_face_even_to_the_key_holder(desk: Desk) -> None:
    entry = enrol(desk.store, NAME, 1)
    desk.take_in(candidate(entry, person=2))
    with desk.store.database.read() as connection:
        for table in desk.store.database.tables.metadata.sorted_tables:
            for row in connection.execute(table.select()):
                assert shot(2).image not in tuple(row), table.name
    assert desk.store.inbox.waiting() == 0


def test_a_stolen_database_opens_with_no_other_key(store: Store) -> None:
    enrol(store, NAME, 1)
    thief = Database(store.database._engine, Cipher(bytes(32)), "stolen")
    references = thief.tables.references
    with pytest.raises(IntegrityError, match="does not open"), thief.read() as connection:
        connection.execute(references.select()).all()


def test_keys_lie_outside_the_database_and_are_for_their_owner_alone(store: Store, state: StateDir) -> None:
    del store
    assert state.storage_key.stat().st_mode & 0o777 == 0o600
    assert state.storage_key.read_bytes() not in state.database.read_bytes()


def test_the_same_photograph_is_recognised_without_its_digest_being_stored(store: Store, state: StateDir) -> None:
    enrol(store, NAME, 1)
    photo = f"photograph of person 1 for {NAME}".encode()
    reference = NewReference(
        photo=photo,
        crop=b"",
        landmarks=np.zeros((5, 2), np.float32),
        template=np.ones(4, np.float32),
        model_sha256=MODEL,
        quality=1.0,
    )
    assert store.entries.keep(NAME, reference, NOON_MS).value == "known"
    assert store.entries.keep("Somebody Else", reference, NOON_MS).value == "taken"
    store.database.settle()
    assert hashlib.sha256(photo).hexdigest().encode() not in state.database.read_bytes()


def test_a_sealing_key_shows_nothing_of_itself() -> None:
    assert "secret" not in repr(SealingKey(b"k" * 32))
