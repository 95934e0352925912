"""The base of all errors."""

from typing import ClassVar


class GrueError(Exception):
    """The base of all of Grue's errors; raised itself only for a fault of our own."""

    code: ClassVar[str] = "bug"
    exit_code: ClassVar[int] = 1
    message: ClassVar[str] = "Something went wrong inside Grue."
    fix: ClassVar[str] = "Please report this, with what you did just before."

    def __init__(self, detail: str = "", *, retry_after: int = 0) -> None:
        super().__init__(f"{self.message} {detail}".rstrip())
        self.detail = detail
        self.retry_after = retry_after
        """Seconds to wait before another try can succeed; 0 when waiting does not help."""


class ProtocolViolation(GrueError):
    """Our own code asked a state machine for a step that its table does not allow."""

    code = "illegal_step"
