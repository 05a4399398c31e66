"""Why a URL gave no bytes. Each class states in ``status`` how its row ends.

FetchError              failed
|-- UrlRefused          refused    not http(s), malformed, or with a user name or password
|-- AddressRefused      refused    the host is at an address that is not public
|-- RobotsRefused       refused    X-Robots-Tag forbids it, and --respect-robots is set
|-- TimedOut            timeout    one of the time limits was reached
|-- TooLarge            too_large  more bytes than --max-download or --max-bytes, as sent or as unpacked
|-- TooManyRedirects    failed
|-- HttpStatus          failed     a status other than 200
|-- Unreachable         failed     no connection, or a connection that broke
|   |-- UnknownHost     failed     the name service knows no such host
|   `-- Untrusted       failed     the certificate is not the host's
|-- BadAnswer           failed     the response breaks HTTP, or has a coding that was not asked for
|   `-- Incomplete      failed     the body did not arrive whole
|-- NotSaved            failed     the original can't be written to --save-dir
`-- StoreError          failed     an object store (s3://, gs://, az://) answers with an error
    |-- NoSuchObject    failed
    |-- ObjectChanged   failed     it was changed after it was listed
    `-- AccessDenied    refused    the credentials of this machine do not allow it, or there are none
"""

from __future__ import annotations

from typing import ClassVar

from sidscan.records import Response, Status


class FetchError(Exception):
    """A URL gave no bytes.

    Attributes:
        status: how its row ends.
        retryable: whether another request may help.
        response: what is known of the response, if a request was made.
    """

    status: ClassVar[Status] = Status.FAILED
    retryable: ClassVar[bool] = False
    response: Response | None = None


class UrlRefused(FetchError):
    """sidscan does not fetch such a URL."""

    status = Status.REFUSED


class AddressRefused(FetchError):
    """sidscan does not connect to the address of the host."""

    status = Status.REFUSED


class RobotsRefused(FetchError):
    """The server asks machines not to use the image."""

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
    """The server answered with a status other than 200.

    Args:
        code: the status, RFC 9110 section 15.
        retry_after: seconds that the server asks to wait, if it does.
    """

    def __init__(self, message: str, code: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code, self.retry_after = code, retry_after


class Unreachable(FetchError):
    """No connection, or a connection that broke before the response came."""

    retryable = True


class UnknownHost(Unreachable):
    """The name service knows no such host."""

    retryable = False


class Untrusted(Unreachable):
    """TLS could not be set up: the certificate is not the host's, or not trusted."""

    retryable = False


class BadAnswer(FetchError):
    """HTTP/1.1 does not allow such a response, or sidscan did not ask for it."""


class Incomplete(BadAnswer):
    """The body did not arrive completely."""

    retryable = True


class NotSaved(FetchError):
    """The original can't be written to --save-dir."""


class StoreError(FetchError):
    """An object store answers with an error. The message has no part of its answer but a code."""


class NoSuchObject(StoreError):
    """The store has no such object, or no such bucket."""


class ObjectChanged(StoreError):
    """The object is not the one that was listed."""


class AccessDenied(StoreError):
    """The store refuses the credentials, or there are none."""

    status = Status.REFUSED
