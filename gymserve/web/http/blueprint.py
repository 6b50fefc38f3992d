"""Blueprints that say what all their routes share."""

from collections.abc import Callable
from typing import Any

import flask

from gymserve.accounts.identity import Scope
from gymserve.protocol.errors import GymserveError

Refusal = Callable[[GymserveError], Any]


class Blueprint(flask.Blueprint):
    """The routes of one subject.

    Args:
        scope: what a key must be good for; None: any key will do.
        tag: the heading under which the API's description lists them.
        refusal: answers errors of ours, where clients look for a form of their own.
    """

    def __init__(
        self, name: str, *, scope: Scope | None, tag: str, url_prefix: str | None = None, refusal: Refusal | None = None
    ) -> None:
        super().__init__(name, __name__, url_prefix=url_prefix)
        self.scope, self.tag = scope, tag
        if refusal is not None:
            self.register_error_handler(GymserveError, refusal)
