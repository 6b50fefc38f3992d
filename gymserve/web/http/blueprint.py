"""Blueprints with what all their routes share: a scope, a tag and the form of errors."""

from collections.abc import Callable

import flask
from flask.typing import ResponseReturnValue

from gymserve.accounts.identity import Scope
from gymserve.protocol.errors import GymserveError

ErrorHandler = Callable[[GymserveError], ResponseReturnValue]


class Blueprint(flask.Blueprint):
    """The routes of one subject.

    Args:
        scope: the scope that a key needs, or None if any key will do.
        tag: the heading under which the API description lists the routes.
        on_error: turns a GymserveError into a response, for clients that expect a form of their own.
    """

    def __init__(
        self,
        name: str,
        *,
        scope: Scope | None,
        tag: str,
        url_prefix: str | None = None,
        on_error: ErrorHandler | None = None,
    ) -> None:
        super().__init__(name, __name__, url_prefix=url_prefix)
        self.scope, self.tag = scope, tag
        if on_error is not None:
            self.register_error_handler(GymserveError, on_error)
