"""Which decoded pictures are what the camera saw."""

import av


class Trust:
    """Distrust what refers to a picture that could not be decoded, until a key picture begins anew.

    The decoder conceals: it fills the hole with what was there before and marks only the hole. A face made
    of two people is worse than none.
    """

    def __init__(self, *, at_most: int | None = None) -> None:
        """`at_most` pictures are distrusted in a row, for cameras that refresh without key pictures."""
        self._at_most = at_most
        self._broken = False
        self._distrusted = 0

    def broken(self) -> None:
        """Note that something could not be decoded."""
        self._broken, self._distrusted = True, 0

    def deserves(self, decoded: av.VideoFrame) -> bool:
        """Judge the next picture."""
        if decoded.is_corrupt:
            self.broken()
        elif decoded.key_frame or self._distrusted == self._at_most:
            self._broken = False
        self._distrusted += self._broken
        return not self._broken
