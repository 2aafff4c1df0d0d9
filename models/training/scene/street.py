"""The street: a pavement between shops and a road, seen by a camera on a bracket, on a dull day.

Everything stands in metres before the camera (x right, y up from the ground, z away) and is projected by one
pinhole, so that people and street shrink alike.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from scene.canvas import blurred, clouds
from scene.looks import Floats

WALL_X, FAR_WALL_X = -3.3, 12.5
KERB_X = 3.0
END_Z = 70.0
FOG = np.array([205, 203, 200], np.float32)
DETAIL = 2
"""The still is painted so many times larger than the video and then shrunk."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole: focal length and horizon in pixels of a picture of width x height, its height in metres."""

    width: int = 1280
    height: int = 720
    focal_px: float = 1600.0
    horizon_px: float = 185.0
    above_ground_m: float = 2.1

    def spot(self, x: float, y: float, z: float) -> tuple[float, float]:
        """Return the pixel of a point."""
        return (
            self.width / 2 + self.focal_px * x / z,
            self.horizon_px + self.focal_px * (self.above_ground_m - y) / z,
        )

    def larger(self, factor: int) -> "Camera":
        """Return the same camera with more pixels."""
        return Camera(
            width=self.width * factor,
            height=self.height * factor,
            focal_px=self.focal_px * factor,
            horizon_px=self.horizon_px * factor,
            above_ground_m=self.above_ground_m,
        )


def backdrop(camera: Camera, random: np.random.Generator) -> Floats:
    """Paint the street without people: (h,w,3) float32 BGR 0..255, a little out of focus."""
    big = camera.larger(DETAIL)
    scene = _sky(big, random)
    _place(scene, big, _far_end(random), [(-30, 17, END_Z), (30, 17, END_Z), (30, 0, END_Z), (-30, 0, END_Z)])
    _place(
        scene,
        big,
        _houses(random, 66, 9),
        [(FAR_WALL_X, 9, 70), (FAR_WALL_X, 9, 4), (FAR_WALL_X, 0, 4), (FAR_WALL_X, 0, 70)],
    )
    _place(scene, big, _ground(random), [(WALL_X, 0, 70), (FAR_WALL_X, 0, 70), (FAR_WALL_X, 0, 2), (WALL_X, 0, 2)])
    _place(scene, big, _houses(random, 66, 9), [(WALL_X, 9, 4), (WALL_X, 9, 70), (WALL_X, 0, 70), (WALL_X, 0, 4)])
    for z in (46.0, 33.0, 24.0, 17.5):
        _tree(scene, big, KERB_X + 0.35, z, random)
    for z, colour in ((38.0, (60, 50, 45)), (29.0, (150, 150, 150)), (21.0, (50, 45, 120)), (14.5, (120, 85, 55))):
        _car(scene, big, KERB_X + 1.3, z, colour)
    _post(scene, big, KERB_X - 0.35, 12.0)
    small = cv2.resize(scene, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
    soft = blurred(np.asarray(small, np.float32), 1.3)
    columns = np.linspace(-1, 1, camera.width, dtype=np.float32)[None, :, None]
    rows = np.linspace(-1, 1, camera.height, dtype=np.float32)[:, None, None]
    soft *= 1 - 0.16 * (columns**2 + rows**2) / 2
    grain = random.normal(0, 1.3, (camera.height, camera.width, 1))
    return np.asarray(np.clip(soft + grain, 0, 255), np.float32)


def _sky(camera: Camera, random: np.random.Generator) -> Floats:
    ramp = np.linspace(1.06, 0.97, camera.height, dtype=np.float32)[:, None, None]
    lumps = clouds(random, (camera.width, camera.height), 240)[..., None]
    return np.asarray(np.clip(np.array([226, 220, 214], np.float32) * (ramp + 0.015 * lumps), 0, 255), np.float32)


def _far_end(random: np.random.Generator) -> Floats:
    """Paint roofs and trees in the haze where the street ends: (170,600,4)."""
    picture = np.zeros((170, 600, 4), np.float32)
    x = 0
    while x < 600:
        wide, tall = int(random.integers(40, 90)), int(random.integers(70, 150))
        picture[170 - tall :, x : x + wide, :3] = random.uniform(120, 165) * np.array([1.02, 1, 0.97])
        picture[170 - tall :, x : x + wide, 3] = 1
        for row in range(170 - tall + 10, 160, 18):
            for column in range(x + 6, min(x + wide, 600) - 8, 14):
                picture[row : row + 9, column : column + 6, :3] *= 0.75
        x += wide
    for _ in range(26):
        centre = (int(random.integers(0, 600)), int(random.integers(130, 170)))
        colour = (*(random.uniform(0.8, 1.0) * np.array([88.0, 116.0, 104.0])), 1.0)
        cv2.circle(picture, centre, int(random.integers(14, 34)), colour, -1, cv2.LINE_AA)
    picture[..., :3] = 0.5 * picture[..., :3] + 0.5 * FOG
    return blurred(picture, 1.2)


def _houses(random: np.random.Generator, length_m: int, height_m: int) -> Floats:
    """Paint a row of house fronts with shops, 50 pixels a metre: (h,w,4)."""
    px = 50
    picture = np.ones((height_m * px, length_m * px, 4), np.float32)
    at = 0
    while at < length_m:
        wide = int(random.integers(5, 9)) if length_m - at > 13 else length_m - at
        front = picture[:, at * px : (at + wide) * px]
        _front(front, random, px)
        at += wide
    picture[..., :3] *= (1 + 0.03 * clouds(random, (picture.shape[1], picture.shape[0]), 90))[..., None]
    return picture


def _front(front: Floats, random: np.random.Generator, px: int) -> None:
    height, width = front.shape[:2]
    walls = ((96, 112, 138), (150, 172, 186), (176, 188, 196), (92, 96, 142), (140, 150, 150), (168, 180, 204))
    wall = np.array(walls[int(random.integers(len(walls)))], np.float32)
    front[..., :3] = wall * (1 + 0.02 * random.normal(size=(height, width, 1)))
    for row in range(0, height, 8):
        front[row : row + 1, :, :3] *= 0.94
    front[:, :4, :3] *= 0.7
    shop_top = height - int(3.3 * px)
    windows = max(2, round(width / px / 2.1))
    for floor_top in (int(0.7 * px), int(3.1 * px)):
        for i in range(windows):
            left = int((i + 0.5) * width / windows - 0.5 * px)
            _window(front, left, floor_top, px, int(1.6 * px), random)
    sign = np.array(
        ((60, 90, 40), (40, 40, 120), (120, 70, 40), (50, 50, 50), (60, 110, 140))[int(random.integers(5))],
        np.float32,
    )
    front[shop_top : shop_top + 28, 6:-6, :3] = sign
    # Invented lettering: strokes only, no words.
    for letter in range(int(random.integers(5, 9))):
        x = int(width * 0.3) + letter * 20
        front[shop_top + 8 : shop_top + 20, x : x + 10, :3] = sign + 110
    _window(front, 14, shop_top + 40, width - 28 - int(1.3 * px), height - shop_top - 40 - 24, random, dark=True)
    door = width - int(1.15 * px)
    front[shop_top + 36 :, door : door + px, :3] = sign * 0.8
    _window(front, door + 8, shop_top + 46, px - 16, int(1.5 * px), random, dark=True)
    if random.random() < 0.5:
        awning = front[shop_top + 26 : shop_top + 62, 4:-4, :3]
        stripes = (np.arange(awning.shape[1]) // 22 % 2)[None, :, None]
        awning[:] = (
            np.where(stripes == 1, sign + 60, np.array([222, 222, 222])) * np.linspace(1, 0.8, 36)[:, None, None]
        )


def _window(
    front: Floats, left: int, top: int, width: int, height: int, random: np.random.Generator, *, dark: bool = False
) -> None:
    part = front[max(0, top) : top + height, max(0, left) : left + width, :3]
    if part.size == 0:
        return
    h, w = part.shape[:2]
    frame = 235.0 if random.random() < 0.6 else 70.0
    part[:] = frame
    glass = part[5:-5, 5:-5]
    ramp = np.linspace(0.55 if dark else 0.95, 0.3 if dark else 0.5, max(1, glass.shape[0]))[:, None, None]
    glow = 1 + (0.35 if dark else 0.15) * clouds(random, (glass.shape[1], glass.shape[0]), 40)[..., None]
    glass[:] = np.array([170, 162, 150]) * ramp * np.clip(glow, 0.5, 2)
    if dark:
        for _ in range(int(w / 14)):
            x, y = int(random.integers(0, max(1, w - 20))), int(random.integers(h // 3, max(h // 3 + 1, h - 12)))
            glass[y : y + int(random.integers(8, 40)), x : x + int(random.integers(6, 22))] = random.uniform(
                50, 190, 3
            )
        glass[:] = 0.6 * glass + 0.4 * np.array([96, 96, 92])
    else:
        middle = glass.shape[1] // 2
        glass[:, max(0, middle - 2) : middle + 2] = frame
        if random.random() < 0.4:
            glass[: glass.shape[0] // 2] = 0.4 * glass[: glass.shape[0] // 2] + 0.6 * 205


def _ground(random: np.random.Generator) -> Floats:
    """Paint pavement, kerb, road and far pavement from above, 40 pixels a metre, far end first: (h,w,4)."""
    px = 40
    width, length = round((FAR_WALL_X - WALL_X) * px), 68 * px
    picture = np.ones((length, width, 4), np.float32)
    ground = picture[..., :3]
    kerb, far_kerb = round((KERB_X - WALL_X) * px), round((9.6 - WALL_X) * px)
    slabs = random.normal(1, 0.035, (length // 24 + 1, width // 24 + 1))
    shade = np.repeat(np.repeat(slabs, 24, 0), 24, 1)[:length, :width, None]
    ground[:] = np.array([166, 168, 170]) * shade
    ground[::24] *= 0.8
    ground[:, ::24] *= 0.8
    ground[:, kerb : kerb + 7] = 190
    ground[:, kerb + 7 : far_kerb] = np.array([104, 102, 100])
    ground[:, kerb + 7 : kerb + 12] *= 0.75
    middle = (kerb + far_kerb) // 2
    for row in range(0, length, 240):
        ground[row : row + 120, middle - 3 : middle + 3] = 205
    ground *= (1 + 0.045 * clouds(random, (width, length), 60) + 0.02 * random.normal(size=(length, width)))[
        ..., None
    ]
    return picture


def _tree(scene: Floats, camera: Camera, x: float, z: float, random: np.random.Generator) -> None:
    px = 90
    picture = np.zeros((7 * px, 5 * px, 4), np.float32)
    cv2.line(picture, (225, 7 * px), (225, 3 * px), (62, 74, 84, 1), 22, cv2.LINE_AA)
    for _ in range(1500):
        along, angle = random.normal(0, 0.5), random.uniform(0, 6.3)
        spot = (int(225 + 150 * along * np.cos(angle)), int(190 + 150 * along * np.sin(angle)))
        light = random.uniform(0.55, 1.15) * (1.15 - spot[1] / 600)
        colour = (*(light * np.array([66.0, 124.0, 112.0])), 1.0)
        cv2.ellipse(
            picture,
            spot,
            (int(random.integers(3, 9)), int(random.integers(2, 6))),
            float(random.uniform(0, 180)),
            0,
            360,
            colour,
            -1,
            cv2.LINE_AA,
        )
    _place(scene, camera, picture, [(x - 2.3, 6.6, z), (x + 2.3, 6.6, z), (x + 2.3, 0, z), (x - 2.3, 0, z)])


def _car(scene: Floats, camera: Camera, x: float, z: float, colour: tuple[float, float, float]) -> None:
    """Park a car that faces the camera: shadow, flank, bonnet, cabin, front, from back to front."""
    left, right = x - 0.86, x + 0.86
    body, glass = np.array(colour, np.float32), np.array([92, 88, 80], np.float32)
    shadow = np.zeros((60, 60, 4), np.float32)
    shadow[8:-8, 8:-8, 3] = 0.6
    _place(scene, camera, blurred(shadow, 4), _level(left - 0.3, right + 0.3, 0, z - 0.4, z + 4.4))
    tall, deep, belt = 1.42, 4.1, 0.86
    inner = (left + 0.16, right - 0.16)
    flank = [(left, belt, z), (left, belt, z + deep), (left, 0.22, z + deep), (left, 0.22, z)]
    _place(scene, camera, _sheet(body * 0.62), flank)
    for wheel in (0.75, 3.3):
        _place(
            scene,
            camera,
            _disc(),
            [
                (left - 0.01, 0.66, z + wheel - 0.33),
                (left - 0.01, 0.66, z + wheel + 0.33),
                (left - 0.01, 0, z + wheel + 0.33),
                (left - 0.01, 0, z + wheel - 0.33),
            ],
        )
    cabin = [(inner[0], tall, z + 1.75), (inner[0], tall, z + 3.3), (left, belt, z + 3.9), (left, belt, z + 0.95)]
    _place(scene, camera, _sheet(body * 0.55, glass * 0.8), cabin)
    _place(scene, camera, _sheet(body * 1.05), _level(inner[0], inner[1], tall, z + 1.7, z + 3.3))
    _place(scene, camera, _sheet(body * 1.1), _level(left, right, belt, z, z + 1.0))
    screen = [(inner[0], tall, z + 1.7), (inner[1], tall, z + 1.7), (right, belt, z + 0.95), (left, belt, z + 0.95)]
    _place(scene, camera, _sheet(body * 0.9, glass * 1.25), screen)
    _place(scene, camera, _bumper(body), [(left, belt, z), (right, belt, z), (right, 0, z), (left, 0, z)])


def _level(left: float, right: float, y: float, near: float, far: float) -> list[tuple[float, float, float]]:
    return [(left, y, far), (right, y, far), (right, y, near), (left, y, near)]


def _sheet(colour: Floats, pane: Floats | None = None) -> Floats:
    """Return a piece of car body (60,120,4), with a window if `pane` has its colour."""
    sheet = np.ones((60, 120, 4), np.float32)
    sheet[..., :3] = colour
    if pane is not None:
        sheet[6:-6, 6:-6, :3] = pane * np.linspace(1.25, 0.8, 48, dtype=np.float32)[:, None, None]
    return sheet


def _disc() -> Floats:
    wheel = np.zeros((80, 80, 4), np.float32)
    cv2.circle(wheel, (40, 40), 38, (30, 30, 30, 1), -1, cv2.LINE_AA)
    cv2.circle(wheel, (40, 40), 20, (120, 120, 120, 1), -1, cv2.LINE_AA)
    return wheel


def _bumper(body: Floats) -> Floats:
    """Paint the front of a car: lamps, grille, plate, tyres (140,280,4)."""
    front = np.zeros((140, 280, 4), np.float32)
    front[:116] = (*(float(c) for c in body), 1.0)
    front[..., :3] *= np.linspace(1.1, 0.75, 140, dtype=np.float32)[:, None, None]
    for tyre in (front[104:, 10:48], front[104:, 232:270]):
        tyre[:] = (28, 28, 28, 1)
    front[40:72, 84:196, :3] = 34
    front[84:100, 106:174, :3] = (216, 220, 222)
    for lamp in (
        np.array([[8, 34], [66, 42], [60, 62], [10, 58]]),
        np.array([[272, 34], [214, 42], [220, 62], [270, 58]]),
    ):
        cv2.fillPoly(front, [lamp.astype(np.int32)], (226, 228, 226, 1), cv2.LINE_AA)
    return front


def _post(scene: Floats, camera: Camera, x: float, z: float) -> None:
    post = np.zeros((400, 12, 4), np.float32)
    post[:, 2:10] = (66, 70, 66, 1)
    post[:, 4:6, :3] *= 1.5
    _place(scene, camera, post, [(x - 0.08, 6, z), (x + 0.08, 6, z), (x + 0.08, 0, z), (x - 0.08, 0, z)])


def _place(scene: Floats, camera: Camera, picture: Floats, corners: list[tuple[float, float, float]]) -> None:
    """Blend a flat picture (h,w,4) into the scene; corners in metres, from top left clockwise."""
    height, width = picture.shape[:2]
    flat = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    seen = np.array([camera.spot(*corner) for corner in corners], np.float32)
    matrix = cv2.getPerspectiveTransform(flat, seen)
    size = (camera.width, camera.height)
    opaque = np.dstack([picture[..., :3] * picture[..., 3:], picture[..., 3]])
    warped = cv2.warpPerspective(opaque, matrix, size, flags=cv2.INTER_LINEAR)
    haze = np.clip((min(c[2] for c in corners) - 10) / 130, 0, 0.45)
    cover = warped[..., 3:]
    scene[:] = scene * (1 - cover) + warped[..., :3] * (1 - haze) + cover * haze * FOG
