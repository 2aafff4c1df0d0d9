"""Proofs by torture: the same few invariants, looked at after a thousand deaths, three days without a centre,
ten thousand strangers.

    fault.c, fault.py    a process dies (or its disk fails) at the n-th write that it makes under one folder
    writer.py            stands where `edge watch` does: seals candidates and puts them into the outbox, fast
    cast.py, stage.py    whom the candidates show, and a centre with one box that may be copied
    audit.py             what must be so after every death, read from copies of the files that the dead left
    kills.py             chapters of kills of watch, link and centre, each repeated by its seed
    cut_off.py           three days without a centre, in simulated time
    forensics.py         strangers through the real watch, then every byte that was left is searched

The programs know nothing of this: faults are put under them by the dynamic linker. `make torture` runs it
all, `make test` a part; docs/reliability.md holds the results.
"""
