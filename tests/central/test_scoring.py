"""A replay against its truth, walk by walk."""

from central.scoring import Alert, Spot, Truth, Walk, score

TRUTH = Truth(
    fps=10,
    size=(640, 360),
    walks=(
        Walk("Ada", watched=True, enters=1.0, leaves=3.0),
        Walk("Bea", watched=True, enters=2.0, leaves=4.0),
        Walk("Cy", watched=False, enters=1.0, leaves=4.0),
    ),
    frames=((), (Spot("Ada", watched=True, x=100, y=100, face=40), Spot("Cy", watched=False, x=300, y=100, face=40))),
)


def alert(identity: str, x: float, *, frame: int = 1, alerted_s: float = 2.0) -> Alert:
    return Alert(
        identity=identity, score=0.5, first_seen_s=1.2, alerted_s=alerted_s, frame=frame, box=(x - 20, 80, 40, 40)
    )


def test_an_alert_on_the_person_it_names_recognises_their_walk() -> None:
    scored = score(TRUTH, [alert("Ada", 104)])
    assert (scored.recognised, scored.missed, scored.false_alerts) == (["Ada"], ["Bea"], [])
    assert scored.enters_to_alert_s == {"Ada": 1.0}
    assert (scored.tpir.events, scored.tpir.trials) == (1, 2)


def test_an_alert_on_somebody_else_is_false_and_accuses_their_walk() -> None:
    scored = score(TRUTH, [alert("Ada", 300), alert("Bea", 300)])
    assert scored.recognised == []
    assert [(wrong["named"], wrong["was"]) for wrong in scored.false_alerts] == [("Ada", "Cy"), ("Bea", "Cy")]
    assert (scored.fpir.events, scored.fpir.trials) == (1, 1)


def test_an_alert_where_nobody_stood_is_false() -> None:
    for wrong in (alert("Ada", 600), alert("Ada", 100, frame=0), alert("Ada", 100, frame=99)):
        scored = score(TRUTH, [wrong])
        assert len(scored.false_alerts) == 1
        assert scored.fpir.events == 0


def test_the_first_of_several_alerts_counts_for_the_wait() -> None:
    scored = score(TRUTH, [alert("Ada", 100, alerted_s=1.5), alert("Ada", 100, alerted_s=2.9)])
    assert scored.enters_to_alert_s == {"Ada": 0.5}


def test_rates_carry_exact_intervals() -> None:
    scored = score(TRUTH, [alert("Ada", 100)])
    assert (round(scored.tpir.low, 3), round(scored.tpir.high, 3)) == (0.013, 0.987)
