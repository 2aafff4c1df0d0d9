"""What the centre wants this box to run: brought, believed only when verified, and switched to whole.

    carrier.py    where bytes come from: pieces of a file, by path and offset
    trust.py      verifies by TUF, downloads beside; the only importer of tuf on the device
    places.py     the states on disk: one folder each, `current` points at one, `previous` at the one before
    ending.py     destroys a pushed watchlist that is over

What a state must pass before it is switched to, and the order of it all, is edge/update.py.
"""
