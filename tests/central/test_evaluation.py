import json
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from central.accuracy import Report, table
from central.evaluation import evaluate, write_json
from central.holdout import held_out
from central.pairs import among, draw_pairs, read_pairs
from central.photographs import BATCH, chips_in, digest_of, meant, photographs_in, templates_of
from edge.errors import OperatorError
from edge.faces.detect import Faces
from tests.central.making import Colours, Middle, models, people_in

COUNTS = [4] * 40 + [1] * 10
MANY = [2] * 60 + [1] * 520


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return people_in(tmp_path_factory.mktemp("faces"), COUNTS)


@pytest.fixture(scope="module")
def report(faces: Path) -> Report:
    return evaluate(models(first=Colours(), second=Colours()), faces, quiet=True)


def test_made_up_people_that_differ_are_told_apart(report: Report) -> None:
    assert report.verification.accuracy > 0.99
    assert report.verification.tar > 0.95
    low, high = report.verification.accuracy_interval
    assert low < report.verification.accuracy <= high


def test_the_json_has_the_promised_keys_and_rates_as_fractions(report: Report, tmp_path: Path) -> None:
    write_json(report, tmp_path / "report.json")
    told = json.loads((tmp_path / "report.json").read_text())
    assert {"models", "verification", "open_set", "protocol"} <= told.keys()
    assert {"pairs", "accuracy", "accuracy_std", "tar_at_far_1e-3"} <= told["verification"].keys()
    assert 0 <= told["verification"]["accuracy"] <= 1
    assert told["models"]["embedder"] == {"name": "first", "sha256": "1" * 64}
    assert list(told["embedders"]) == ["first", "second"]


def test_a_gallery_that_the_set_is_too_small_for_is_left_out_and_said_so(report: Report) -> None:
    assert not report.open_set
    assert any(line.startswith("gallery 500") for line in report.left_out)
    assert "left out: gallery 3000" in table(report)


@pytest.mark.slow
def test_open_set_points_have_the_promised_keys_and_counts(tmp_path: Path) -> None:
    report = evaluate(models(), people_in(tmp_path, MANY), quiet=True)
    told = json.loads(msgspec.json.encode(report))["open_set"]
    promised = {
        "gallery",
        "references",
        "probes_per_template",
        "fpir",
        "fnir",
        "threshold",
        "mated",
        "non_mated",
    }
    assert promised <= told[0].keys()
    # 42 of 60 people mated with one probe each; the rest: 18 people with two photographs, 62 with one
    assert (told[0]["gallery"], told[0]["mated"], told[0]["non_mated"]) == (500, 42, 18 * 2 + 520 - 458)
    assert [point["fpir"] for point in told] == [0.1]  # of 98 searches, 1 in 100 is less than one
    assert any("FPIR 0.01 is below one of 98" in line for line in report.left_out)


@pytest.mark.slow
def test_held_out_people_alone_are_tested_and_the_others_only_fill_the_gallery(tmp_path: Path) -> None:
    folder = people_in(tmp_path, [2] * 200 + [1] * 700)
    people = {person.name: len(list(person.iterdir())) for person in folder.iterdir()}
    tested = {name: count for name, count in people.items() if held_out(name)}
    several = sum(count == 2 for count in tested.values())
    fillers = sum(count == 1 for name, count in people.items() if not held_out(name))
    report = evaluate(models(), folder, only_held_out=True, quiet=True)
    point = report.open_set[0]
    mated = int(0.7 * several)
    assert (point.gallery, point.mated) == (500, mated)
    assert point.non_mated == sum(tested.values()) - 2 * mated
    assert report.verification.mated == several
    assert report.data.people == len(tested) + fillers
    assert f"filled from {fillers:,} one-photograph people of the rest" in table(report)


def test_of_listed_pairs_those_of_held_out_people_are_kept(faces: Path, tmp_path: Path) -> None:
    lines = ["a,b,mated"]
    for person in range(40):
        a = f"person_{person:04}/0000.png"
        lines += [f"{a},person_{person:04}/000{i}.png,1" for i in (1, 2, 3)]
        lines += [f"{a},person_{(person + i) % 40:04}/0001.png,0" for i in range(1, 40)]
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    tested = sum(held_out(f"person_{person:04}") for person in range(40))
    photos = photographs_in(faces)
    kept = among(read_pairs(tmp_path / "pairs.csv", photos), photos, [p for p in photos if held_out(p.person)])
    assert int(kept.mated.sum()) == 3 * tested
    assert int((~kept.mated).sum()) == tested * (tested - 1)
    with pytest.raises(OperatorError, match="has both of its people held out"):
        among(read_pairs(tmp_path / "pairs.csv", photos), photos, [])


def test_the_table_tells_every_rate_with_its_interval_and_the_protocol(report: Report) -> None:
    told = table(report)
    assert "mated; per cent (95 % interval)" in told
    assert " - " in told
    assert "second" in told
    assert "verification: cosine; " in told
    assert "seed 7" in told


def test_a_photograph_without_a_face_is_listed_and_its_pairs_are_errors(tmp_path: Path) -> None:
    folder = people_in(tmp_path / "faces", COUNTS)
    black = folder / "person_0003" / "0002.png"
    cv2.imwrite(str(black), np.zeros((112, 112, 3), np.uint8))
    (folder / "person_0005" / "0001.png").write_bytes(b"no picture at all")
    (folder / "person_0005" / "0002.png").write_bytes(b"")
    report = evaluate(models(), folder, quiet=True)
    assert report.data.without_face == ["person_0003/0002.png", "person_0005/0001.png", "person_0005/0002.png"]
    assert report.verification.without_face >= 3 + 5
    assert report.verification.accuracy <= 1 - report.verification.without_face / report.verification.pairs + 1e-3
    assert "no face    in 3 photographs: person_0003/0002.png" in table(report)


def test_templates_are_computed_in_batches_of_sixteen_for_every_embedder(faces: Path) -> None:
    one, other = Colours(), Colours()
    photos = photographs_in(faces)
    templates = templates_of(photos, Middle(), {"one": one, "other": other}, quiet=True)
    assert one.batches == other.batches == [BATCH] * 10 + [len(photos) - 10 * BATCH]
    np.testing.assert_array_equal(templates.of["one"], templates.of["other"])
    assert templates.found.all()


def test_listed_pairs_are_used_with_their_folds(faces: Path, tmp_path: Path) -> None:
    lines = ["a,b,mated,fold"]
    for person in range(40):
        a = f"person_{person:04}/0000.png"
        lines += [f"{a},person_{person:04}/0001.png,1,{person % 10}"]
        lines += [f"{a},person_{(person + 1) % 40:04}/0001.png,false,{person % 10}"]
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    report = evaluate(models(), faces, tmp_path / "pairs.csv", quiet=True)
    assert (report.verification.pairs, report.verification.mated) == (80, 40)
    assert "folds: as listed; threshold chosen on the other nine" in report.protocol["verification"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no list of pairs; its first line must name a, b, mated"),
        ("one,two\n1,2\n", "is no list of pairs"),
        ("a,b,mated\n", "has no pairs"),
        ("a,b,mated\nperson_0000/0000.png,somebody/else.png,1\n", "line 2: photograph 'somebody/else.png' is not in"),
        ("a,b,mated\nperson_0000/0000.png,person_0000/0001.png,perhaps\n", "line 2: mated is 'perhaps'; 1 or 0"),
        ("a,b,mated,fold\nperson_0000/0000.png,person_0000/0001.png,1,x\n", "names 1 folds"),
        ("a,b,mated\nperson_0000/0000.png\n", "photograph None is not in"),
    ],
)
def test_a_bad_list_of_pairs_is_refused_with_its_line_and_reason(
    text: str, told: str, faces: Path, tmp_path: Path
) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    with pytest.raises(OperatorError) as refused:
        read_pairs(path, photographs_in(faces))
    assert told in str(refused.value)


def test_a_list_of_pairs_that_is_not_there_or_no_text_is_refused(faces: Path, tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x01")
    for path in (tmp_path / "none.csv", tmp_path / "binary.csv"):
        with pytest.raises(OperatorError, match="cannot read the pairs"):
            read_pairs(path, photographs_in(faces))


def test_too_few_pairs_for_the_folds_are_refused(faces: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("a,b,mated\nperson_0000/0000.png,person_0000/0001.png,1\n")
    with pytest.raises(OperatorError, match="1 pairs are too few for 10 folds"):
        evaluate(models(), faces, tmp_path / "pairs.csv", quiet=True)


def test_an_empty_folder_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="no photographs in"):
        photographs_in(tmp_path)
    with pytest.raises(OperatorError, match="cannot read the folder of faces"):
        photographs_in(tmp_path / "none")


def test_a_folder_of_one_person_or_of_one_photograph_each_has_no_pairs_to_draw(tmp_path: Path) -> None:
    for name, counts in (("alone", [5]), ("strangers", [1, 1, 1])):
        with pytest.raises(OperatorError, match="no pairs can be drawn"):
            draw_pairs(photographs_in(people_in(tmp_path / name, counts)))


def test_pairs_are_drawn_the_same_each_time_half_of_them_mated(faces: Path) -> None:
    photos = photographs_in(faces)
    one, other = draw_pairs(photos), draw_pairs(photos)
    np.testing.assert_array_equal(one.rows, other.rows)
    assert one.mated.mean() == 0.5
    people = np.array([[photos[a].person, photos[b].person] for a, b in one.rows])
    np.testing.assert_array_equal(people[:, 0] == people[:, 1], one.mated)
    assert not np.any(one.rows[:, 0] == one.rows[:, 1])


def test_the_hash_of_the_data_changes_with_one_byte_or_one_name(tmp_path: Path) -> None:
    folder = people_in(tmp_path, [1, 1])
    before = digest_of(photographs_in(folder))
    assert digest_of(photographs_in(folder)) == before
    photo = folder / "person_0001" / "0000.png"
    photo.rename(photo.with_name("0009.png"))
    renamed = digest_of(photographs_in(folder))
    photo.with_name("0009.png").write_bytes(photo.with_name("0009.png").read_bytes() + b"\0")
    assert len({before, renamed, digest_of(photographs_in(folder))}) == 3


def test_of_several_faces_the_large_one_near_the_middle_is_meant() -> None:
    def chosen(*boxes: tuple[float, float, float, float]) -> int:
        n = len(boxes)
        faces = Faces(np.array(boxes, np.float32), np.zeros((n, 5, 2), np.float32), np.ones(n, np.float32))
        return meant(faces, 200, 200)

    assert chosen((0, 0, 60, 60), (70, 70, 60, 60)) == 1  # the nearer of two alike
    assert chosen((95, 95, 10, 10), (60, 60, 90, 90)) == 1  # not the speck in the very middle
    assert chosen((60, 60, 80, 80), (0, 0, 95, 95)) == 0  # nor the somewhat larger one in the corner


def test_chips_are_spread_over_the_people(faces: Path) -> None:
    photos = photographs_in(faces)
    assert len(list(chips_in(photos, Middle(), 12, quiet=True))) == 12
    assert len(list(chips_in(photos, Middle(), 10_000, quiet=True))) == len(photos)


def test_a_report_that_cannot_be_written_is_told(report: Report, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot write"):
        write_json(report, tmp_path / "none" / "report.json")
