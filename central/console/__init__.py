"""The console: one page with the live alerts, and the same for programs.

    gate.py      who may come in: loopback names, the token, the headers every answer carries
    feed.py      wakes the event streams when alerting has recorded something
    stream.py    server-sent events: what the reader missed, then what is new
    app.py       the routes

The page is plain HTML, CSS and ES modules from templates/ and static/; nothing is fetched from elsewhere.
"""
