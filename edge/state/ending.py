"""The end of a watchlist that was pushed: link destroys the file, on watch's word, since the folder is link's."""

from edge import durable
from edge.state.places import Places
from edge.wire.push import WATCHLIST


def end_watchlist(places: Places, state: str) -> bool:
    """Destroy the watchlist that watch says is over, and return whether there was one to destroy.

    `state` is the word of the state that brought it, as watch's report has it (`watchlist_over.state`); empty:
    nothing to do. While that state runs, the state before loses its own watchlist too: that one is older. Where
    another state runs by now, its watchlist is another, and is left alone.
    """
    current, previous = places.current, places.previous
    both = bool(state) and current is not None and current.name == state
    done = False
    for place in (current, previous):
        if place is None or not (both or place.name == state) or not (place / WATCHLIST).exists():
            continue
        durable.destroy(place / WATCHLIST)
        done = True
    return done
