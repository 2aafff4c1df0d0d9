"""The cast: nobody in it exists. Chosen by looking at those who passed the audition (`--search`)."""

from dataclasses import dataclass

from scene.body import Clothes
from scene.casting import drawn
from scene.face_model import FaceModel
from scene.hair import Hair
from scene.looks import Floats

BLACK, BROWN, CHESTNUT, BLOND, GREY = (22, 24, 28), (28, 40, 58), (40, 58, 84), (84, 126, 160), (118, 120, 122)
# Height of the rim above the eyes, of what is not hair.
RIMS = {"beanie": 43.0, "cap": 43.0, "scarf": 48.0}


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who does not exist."""

    name: str
    watched: bool
    who: Floats
    """Coefficients (s+c,) of the face model."""
    hair: Hair
    clothes: Clothes
    grain: int
    """Seed of who they are, and of everything small about them."""


@dataclass(frozen=True)
class Role:
    """One line of the cast."""

    seed: int
    name: str
    hair: str
    hair_colour: tuple[int, int, int]
    clothes: str
    colour: tuple[int, int, int]
    parting: float = 0.0


WATCHED = (
    Role(3, "Ilva", "long", CHESTNUT, "coat", (92, 128, 164), 14),
    Role(1062, "Orsa", "bun", BROWN, "jumper", (64, 48, 128), -12),
    Role(219, "Tavio", "curly", BLACK, "jacket", (58, 78, 62)),
    Role(563, "Brennic", "short", GREY, "coat", (88, 62, 44), 16),
    Role(239, "Maruk", "shaved", BLACK, "jacket", (40, 38, 38)),
)
PASSERS_BY = (
    Role(666, "passer-by-01", "long", BLACK, "jumper", (128, 118, 52), -10),
    Role(190, "passer-by-02", "scarf", (96, 62, 104), "coat", (60, 54, 56)),
    Role(798, "passer-by-03", "bun", BLOND, "jacket", (92, 74, 46), 12),
    Role(374, "passer-by-04", "long", BLOND, "coat", (52, 44, 140), 8),
    Role(938, "passer-by-05", "curly", BLACK, "jumper", (60, 140, 178)),
    Role(404, "passer-by-06", "short", BLACK, "hoodie", (138, 88, 44), 10),
    Role(575, "passer-by-07", "beanie", (104, 58, 38), "jacket", (62, 92, 116)),
    Role(734, "passer-by-08", "bun", GREY, "hoodie", (120, 118, 116), -14),
    Role(745, "passer-by-09", "short", BROWN, "coat", (112, 108, 106), -16),
    Role(151, "passer-by-10", "short", BLACK, "jumper", (72, 96, 66), 0),
    Role(930, "passer-by-11", "cap", (58, 66, 48), "hoodie", (58, 46, 112)),
    Role(615, "passer-by-12", "shaved", BROWN, "jumper", (128, 98, 72)),
    Role(356, "passer-by-13", "short", GREY, "coat", (52, 62, 66), 12),
)


def cast(model: FaceModel) -> list[Person]:
    """Return everybody who walks, the watched first."""
    return [_person(model, role, watched=role in WATCHED) for role in WATCHED + PASSERS_BY]


def _person(model: FaceModel, role: Role, *, watched: bool) -> Person:
    trousers = ((78, 62, 48), (46, 44, 44), (88, 92, 98), (60, 76, 92))[role.seed % 4]
    return Person(
        name=role.name,
        watched=watched,
        who=drawn(model, role.seed),
        hair=Hair(
            style=role.hair,
            colour=role.hair_colour,
            line=RIMS.get(role.hair, 52.0 + role.seed % 5),
            volume=4.0 + role.seed % 4,
            parting=role.parting,
        ),
        clothes=Clothes(style=role.clothes, colour=role.colour, trousers=trousers),
        grain=role.seed,
    )
