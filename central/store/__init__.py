"""The centre's memory: one database, its key outside it.

    cipher.py     biometric columns, encrypted with keys/storage.key
    tables.py     what is kept
    database.py   opening, schema version, transactions, counters; the only place that knows SQLite
    inbox.py      sealed events as they arrived (committed before they are acknowledged), tallies
    alerts.py     verified tracks and their sightings, and what the console reads of them
    entries.py    the watchlist: entries and their references
    devices.py    admitted boxes and how they are
    invitations.py  boxes that may announce themselves, and what they announced
    rollouts.py   groups of boxes, what was published for each, and how far roll-outs are

A candidate below the threshold leaves a row with its event id and outcome, and a count; nothing of a face.
"""
