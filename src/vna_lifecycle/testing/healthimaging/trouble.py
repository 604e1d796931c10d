"""How the fake refuses a call."""

from __future__ import annotations


class ServiceError(Exception):
    """An error of the service: its type as in the service model, a message, and an HTTP status unless the model has it.

    It is no error of this library: it only ever leaves the fake as an HTTP answer.
    """

    def __init__(self, kind: str, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status


def not_found(what: str) -> ServiceError:
    """There is no such thing."""
    return ServiceError("ResourceNotFoundException", f"{what} not found")


def invalid(message: str) -> ServiceError:
    """The request cannot be right."""
    return ServiceError("ValidationException", message)


def conflict(message: str) -> ServiceError:
    """The state of things does not allow it."""
    return ServiceError("ConflictException", message)
