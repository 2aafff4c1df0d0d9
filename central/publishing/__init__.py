"""What each box should run, as a TUF repository (https://theupdateframework.github.io/specification/).

    ceremony.py     with the off-line root key: which on-line key this centre signs with
    keys.py         the keys, in files
    repository.py   with the on-line keys: a role for each box, its files, snapshot and timestamp, renewed in time

The root key is needed once a year and when the on-line key changes, never by the server. Why it is cut like
this: docs/adr/0006-keys-of-the-pushed-state.md; what an auditor may check: docs/push.md.
"""
