"""Who walks when and where, and the pictures of each person."""

import numpy as np

from scene.body import torso
from scene.canvas import SIDE, blurred, clouds
from scene.casting import MOST_LIKE_SOMEBODY, Eyes, seen
from scene.face_model import FaceModel
from scene.looks import Bytes, Floats
from scene.people import Person
from scene.portrait import Pose, likeness, posed, skin_tone
from scene.walk import FIRST_Z, LAST_Z, MOOD_EVERY_S, Walk, Walker, standing

# Strength of moods: weaker than in the audition, whose faces need not look natural.
REFERENCE_MOOD, WALKING_MOOD = (0.15, 0.35), 0.42
BETWEEN_ENTRIES_S = 1.85
# Where people pass the camera, in turn, so that the next is not behind the last.
NEAR_LANES = (-0.34, 0.30, -0.05, 0.42, -0.44, 0.14)
POSES = (
    Pose(light=0.1, exposure=1.02),
    Pose(yaw=-0.14, pitch=0.03, light=-0.45, exposure=0.9),
)
TAKES = 40
MOOD_TAKES = 24
# A little below what the audition allows: compression moves templates.
GOOD_ENOUGH = MOST_LIKE_SOMEBODY - 0.01
TYPICAL = Pose(pitch=0.05, light=0.35, exposure=0.93)
EYES_IN_PORTRAIT = (SIDE / 2, 122.0)


def walkers(
    model: FaceModel, cast: list[Person], eyes: Eyes, real: Floats, random: np.random.Generator
) -> list[Walker]:
    """Send everybody down the street once, in moods in which they resemble none of `real` (n,d)."""
    order = [int(i) for i in random.permutation(len(cast))]
    found = []
    for turn, number in enumerate(order):
        person = cast[number]
        near = NEAR_LANES[turn % len(NEAR_LANES)] + float(random.uniform(-0.05, 0.05))
        speed = float(random.uniform(1.22, 1.5))
        count = int((FIRST_Z - LAST_Z) / speed / MOOD_EVERY_S) + 2
        walk = Walk(
            person=person,
            start_s=0.6 + turn * BETWEEN_ENTRIES_S + float(random.uniform(-0.4, 0.4)),
            speed_m_s=speed,
            far_x=float(np.clip(near * 3.2 + random.uniform(-0.7, 0.7), -2.4, 2.2)),
            near_x=near,
            eyes_m=float(random.uniform(1.50, 1.70)),
            phase=float(random.uniform(0, 2 * np.pi)),
            yaw=float(random.uniform(-0.12, 0.12)),
            moods=_own_moods(model, person, count, eyes, real),
        )
        found.append(Walker(model, walk, _clothed(model, person)))
    return found


def references(model: FaceModel, person: Person, eyes: Eyes, real: Floats) -> list[Bytes]:
    """Return a reference photograph (288,288,3) for each of POSES: of many takes the least like any of `real`."""
    return [_least_like(model, person, number, eyes, real) for number in range(len(POSES))]


def _least_like(model: FaceModel, person: Person, number: int, eyes: Eyes, real: Floats) -> Bytes:
    """Return the first take that is good enough, or else the best, which must be below MOST_LIKE_SOMEBODY."""
    takes = []
    for take in range(TAKES):
        picture = portrait(model, person, number, take)
        look = eyes.template(picture)
        if look is not None:
            takes.append((float((real @ look[1]).max()), picture))
            if takes[-1][0] < GOOD_ENOUGH:
                break
    nearest, best = min(takes, key=lambda pair: pair[0])
    if nearest > MOST_LIKE_SOMEBODY:
        raise ValueError(f"every take of {person.name} resembles somebody ({nearest:.2f}): recast")
    return best


def portrait(model: FaceModel, person: Person, number: int, take: int) -> Bytes:
    """Return a photograph (288,288,3) of somebody in the pose of this number."""
    random = np.random.default_rng((person.grain, 10 + number, take))
    pose = POSES[number]
    look = person.who + model.mood(random, REFERENCE_MOOD[number])
    head = posed(likeness(model, look, person.hair, person.grain), pose)
    tone = random.uniform(130, 190) * random.uniform(0.92, 1.06, 3)
    wall = tone * (1 + 0.05 * clouds(random, (SIDE, SIDE), 120)[..., None])
    wall = wall * np.linspace(1.06, 0.9, SIDE)[None, :, None]
    picture = standing(head, _clothed(model, person), wall.astype(np.float32), EYES_IN_PORTRAIT)
    return np.asarray(np.clip(blurred(picture, 0.5) + random.normal(0, 1.2, picture.shape), 0, 255), np.uint8)


def _clothed(model: FaceModel, person: Person) -> Floats:
    return torso(person.clothes, skin_tone(model, person.who), np.random.default_rng(person.grain))


def _own_moods(model: FaceModel, person: Person, count: int, eyes: Eyes, real: Floats) -> Floats:
    """Return the least mistakable of a few takes of moods (count,s+c); the first that is good enough ends it."""
    least, chosen = np.inf, np.zeros(0, np.float32)
    for take in range(MOOD_TAKES):
        moods = _moods(model, count, np.random.default_rng((person.grain, 20, take)))
        looks = [likeness(model, person.who + mood, person.hair, person.grain) for mood in moods[::5]]
        pictures = [seen(posed(head, TYPICAL), small=True) for head in looks]
        templates = [look[1] for look in map(eyes.template, pictures) if look]
        mean = np.mean(templates, axis=0)
        nearest = float((real @ (mean / np.linalg.norm(mean))).max())
        if nearest < least:
            least, chosen = nearest, moods
        if least < GOOD_ENOUGH:
            break
    return chosen


def _moods(model: FaceModel, count: int, random: np.random.Generator) -> Floats:
    """Return moods (count,s+c) that drift: each keeps most of the one before."""
    moods = [model.mood(random, WALKING_MOOD)]
    keep = 0.93
    while len(moods) < count:
        moods.append(keep * moods[-1] + np.sqrt(1 - keep**2) * model.mood(random, WALKING_MOOD))
    return np.array(moods, np.float32)
