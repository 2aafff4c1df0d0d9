"""What can go wrong, grouped by who is to blame; the one base that device and centre share.

Every message says what happened and to what, every hint what to do next. The command line prints both on
one line and leaves with the leaf's exit code.
"""


class SightlineError(Exception):
    """Trouble that one clear line can tell."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return the message and the hint as one line."""
        return f"{self.message}; {self.hint}" if self.hint else self.message


class OperatorError(SightlineError):
    """Something was asked for that cannot be: a bad option, configuration, photograph or file."""

    exit_code = 2


class WorldError(SightlineError):
    """The world outside is not as needed: a camera, the network, a disk, a port."""

    exit_code = 3


class PeerError(SightlineError):
    """The other end broke the contract: garbage, a wrong key, another version."""

    exit_code = 4


class IntegrityError(SightlineError):
    """Something is not what it was signed or recorded to be: a model, a key file, a database."""

    exit_code = 5
