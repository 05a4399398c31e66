"""Why a URL gave no bytes. Each class says in ``status`` how its row ends.

FetchError              failed
|-- UrlRefused          refused    not http(s), malformed, or with a user name or password
|-- AddressRefused      refused    the host is at an address that is not public
|-- RobotsRefused       refused    X-Robots-Tag forbids it, and --respect-robots was given
|-- TimedOut            timeout    one of the limits of time was reached
|-- TooLarge            too_large  more bytes than --max-download or --max-bytes, as sent or as unpacked
|-- TooManyRedirects    failed
|-- HttpStatus          failed     an answer other than 200
|-- Unreachable         failed     no connection, or one that broke
|   |-- UnknownHost     failed     the name service knows no such host
|   `-- Untrusted       failed     the certificate is not the host's
|-- BadAnswer           failed     the answer breaks HTTP, or comes in an encoding nobody asked for
|   `-- Incomplete      failed     the body did not arrive whole
`-- NotSaved            failed     the original can't be written to --save-dir
"""

from __future__ import annotations

from typing import ClassVar

from sidscan.records import Response, Status


class FetchError(Exception):
    """A URL gave no bytes.

    Attributes:
        status: how its row ends.
        again: whether asking once more may help.
        response: what is known of the answer, where a request was made.
    """

    status: ClassVar[Status] = Status.FAILED
    again: ClassVar[bool] = False
    response: Response | None = None


class UrlRefused(FetchError):
    """The URL is not one that is fetched."""

    status = Status.REFUSED


class AddressRefused(FetchError):
    """The host is at an address that is not connected to."""

    status = Status.REFUSED


class RobotsRefused(FetchError):
    """The server asks machines to leave the picture alone."""

    status = Status.REFUSED


class TimedOut(FetchError):
    """The server, or the name service, took too long."""

    status = Status.TIMEOUT


class TooLarge(FetchError):
    """The body is larger than allowed."""

    status = Status.TOO_LARGE


class TooManyRedirects(FetchError):
    """The chain of redirects does not end."""


class HttpStatus(FetchError):
    """The server answered with another status than 200.

    Args:
        code: of the answer, RFC 9110 section 15.
        retry_after: seconds that the server asks to wait, if it does.
    """

    def __init__(self, message: str, code: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code, self.retry_after = code, retry_after


class Unreachable(FetchError):
    """No connection, or one that broke before the answer came."""

    again = True


class UnknownHost(Unreachable):
    """The name service knows no such host."""

    again = False


class Untrusted(Unreachable):
    """TLS could not be set up: the certificate is not the host's, or not one that is trusted."""

    again = False


class BadAnswer(FetchError):
    """The answer is not one that HTTP/1.1 allows, or that was asked for."""


class Incomplete(BadAnswer):
    """The body did not arrive whole."""

    again = True


class NotSaved(FetchError):
    """The original can't be written."""
