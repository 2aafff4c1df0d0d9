import itertools
import struct
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from edge.camera.clock import Clock
from edge.camera.errors import Reason, VideoError
from edge.camera.feed import Feed
from edge.camera.frame import ClockSource, Frame
from edge.camera.source import open_source
from tests.edge.camera.conftest import FPS, FRAMES, settings
from tests.simulator.pattern import number_of, numbered, write_video


def all_frames(source: Path, **options: object) -> list[Frame]:
    with Feed(settings(source, pace="fast", **options)) as feed:
        return list(feed)


def good_and_trouble(source: Path) -> tuple[list[Frame], VideoError]:
    frames: list[Frame] = []
    with pytest.raises(VideoError) as trouble, Feed(settings(source, pace="fast")) as feed:
        frames.extend(feed)
    return frames, trouble.value


def numbers(frames: list[Frame]) -> list[int]:
    return [number_of(frame.image) for frame in frames]


@pytest.mark.parametrize(
    ("suffix", "b_frames"), [("mp4", "0"), ("mp4", "2"), ("mkv", "2"), ("ts", "2"), ("avi", "0")]
)
def test_a_video_read_fast_gives_every_frame_once_and_in_order(tmp_path: Path, suffix: str, b_frames: str) -> None:
    clip = write_video(tmp_path / f"clip.{suffix}", frames=20, bf=b_frames)
    frames = all_frames(clip)
    assert numbers(frames) == list(range(20))
    assert [frame.index for frame in frames] == list(range(20))
    assert frames[0].image.shape == (240, 320, 3)
    assert frames[0].image.dtype == np.uint8


def test_a_files_frames_are_dated_by_their_place_in_it(video: Path) -> None:
    frames = all_frames(video, recorded_at_ms=1_000_000)
    assert [frame.captured_at_ms for frame in frames] == [1_000_000 + 40 * number for number in range(FRAMES)]
    assert {frame.clock_source for frame in frames} == {ClockSource.MEDIA}


def test_a_file_of_unknown_date_counts_from_when_it_is_opened(video: Path) -> None:
    source = open_source(settings(video), Clock(wall_ms=lambda: 5_000))
    assert next(iter(source)).captured_at_ms == 5_000
    source.close()


def test_the_bytes_of_the_video_are_counted(video: Path) -> None:
    with Feed(settings(video, pace="fast")) as feed:
        for _ in feed:
            pass
    with av.open(str(video)) as container:
        assert feed.video_bytes == sum(packet.size for packet in container.demux(video=0))


def test_a_loop_goes_on_counting_frames_and_time(video: Path) -> None:
    with Feed(settings(video, pace="fast", at_end="loop", recorded_at_ms=0)) as feed:
        frames = list(itertools.islice(feed, FRAMES + 10))
    assert numbers(frames) == [*range(FRAMES), *range(10)]
    assert [frame.index for frame in frames] == list(range(FRAMES + 10))
    assert [frame.captured_at_ms for frame in frames] == [40 * n for n in range(FRAMES + 10)]


def test_a_video_at_its_own_pace_takes_its_own_time_and_a_slow_consumer_gets_the_newest(
    tmp_path: Path,
) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=15)
    frames = []
    with Feed(settings(clip, pace="real")) as feed:
        while not feed.ended:
            frame = feed.next(timeout_s=1)
            if frame is not None:
                frames.append(frame)
                while len(frames) == 1 and feed.state().frames < 8:  # a consumer that is busy for a while
                    pass
        state = feed.state()
    assert frames[-1].monotonic_at - frames[0].monotonic_at >= 0.9 * 14 / FPS
    assert number_of(frames[1].image) >= 7
    assert number_of(frames[-1].image) == 14
    assert state.dropped == 15 - len(frames) > 0
    assert state.reason is Reason.ENDED


def test_a_video_held_upright_comes_upright(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=3)
    data = bytearray(clip.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # version 0: 40 bytes from its flags to the matrix
    quarter = 0x10000
    data[matrix : matrix + 36] = struct.pack(">9i", 0, quarter, 0, -quarter, 0, 0, 240 * quarter, 0, 0x40000000)
    clip.write_bytes(data)
    image = all_frames(clip)[1].image
    assert image.shape == (320, 240, 3)
    assert number_of(np.rot90(image)) == 1


def test_a_missing_video_is_named() -> None:
    frames, trouble = good_and_trouble(Path("nowhere/street.mp4"))
    assert not frames
    assert trouble.reason is Reason.MISSING
    assert trouble.exit_code == 2
    assert trouble.message == "there is no video nowhere/street.mp4"


def test_a_video_without_its_index_is_said_to_be_cut_short(tmp_path: Path, video: Path) -> None:
    whole = video.read_bytes()
    clip = tmp_path / "street.mp4"
    clip.write_bytes(whole[: whole.index(b"moov")])
    frames, trouble = good_and_trouble(clip)
    assert not frames
    assert trouble.reason is Reason.CORRUPT
    assert "cut short or damaged: its index (moov) is missing" in trouble.message


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_video_cut_in_the_middle_gives_what_is_there_then_says_where_it_breaks_off(
    tmp_path: Path, suffix: str
) -> None:
    clip = write_video(tmp_path / f"street.{suffix}", frames=50)
    whole = clip.read_bytes()
    clip.write_bytes(whole[: len(whole) // 2])
    frames, trouble = good_and_trouble(clip)
    assert numbers(frames) == list(range(len(frames)))
    assert 10 < len(frames) < 40
    assert trouble.reason is Reason.CORRUPT
    assert f"it breaks off at frame {len(frames)} " in trouble.message
    assert "of 2.00 s" in trouble.message


def test_a_damaged_video_says_where_and_leaves_out_what_builds_on_the_damage(tmp_path: Path, video: Path) -> None:
    with av.open(str(video)) as container:
        victim = list(container.demux(video=0))[23]
        position, size = victim.pos, victim.size
    assert position is not None
    data = bytearray(video.read_bytes())
    data[position : position + size] = b"\xff" * size
    clip = tmp_path / "street.mp4"
    clip.write_bytes(data)
    frames, trouble = good_and_trouble(clip)
    assert numbers(frames) == [frame.index for frame in frames] == [*range(23), *range(30, 50)]
    assert trouble.message.endswith("street.mp4 is damaged from frame 23 (0.92 s) on: 7 of 50 frames cannot be read")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("notes.txt", b"half past nine\n" * 99, "is not a video that can be read"),
        ("street.mp4", b"half past nine\n" * 99, "is not a video that can be read"),
        ("street.mp4", b"", "is empty"),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n", "is not a video that can be read"),
    ],
)
def test_what_is_no_video_is_refused(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    frames, trouble = good_and_trouble(tmp_path / name)
    assert not frames
    assert trouble.reason is Reason.NOT_A_VIDEO
    assert told in trouble.message


def test_a_file_with_sound_only_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 16000
        for packet in [*stream.encode(sound), *stream.encode(None)]:
            container.mux(packet)
    frames, trouble = good_and_trouble(path)
    assert not frames
    assert "has no video in it" in trouble.message


def test_a_folder_of_images_plays_in_the_order_people_count(tmp_path: Path) -> None:
    for number in (1, 2, 9, 10, 11):
        cv2.imwrite(str(tmp_path / f"shot{number}.png"), numbered(number))
    (tmp_path / "README.txt").write_text("not an image")
    frames = all_frames(tmp_path, fps=4.0, recorded_at_ms=0)
    assert numbers(frames) == [1, 2, 9, 10, 11]
    assert [frame.captured_at_ms for frame in frames] == [0, 250, 500, 750, 1000]


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    frames, trouble = good_and_trouble(tmp_path)
    assert not frames
    assert trouble.message == f"folder {tmp_path} has no images in it"


def test_a_folder_with_a_broken_image_gives_the_others_then_names_it(tmp_path: Path) -> None:
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), numbered(number))
    (tmp_path / "1.png").write_bytes(b"not an image")
    (tmp_path / "2.png").write_bytes(b"")
    frames, trouble = good_and_trouble(tmp_path)
    assert numbers(frames) == [frame.index for frame in frames] == [0, 3]
    assert trouble.reason is Reason.CORRUPT
    assert trouble.message == f"2 of 4 images in folder {tmp_path} cannot be read, first 1.png"


def test_closing_in_mid_file_leaves_at_once(video: Path) -> None:
    with Feed(settings(video, pace="fast", at_end="loop")) as feed:
        assert feed.next(timeout_s=5) is not None
    assert feed.ended
    assert feed.next(timeout_s=0) is None
