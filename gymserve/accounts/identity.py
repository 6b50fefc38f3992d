"""Who asks, and what their role and scopes allow."""

from typing import Literal, NamedTuple, get_args

from gymserve.store.models import ROLES

Scope = Literal["environments", "submissions", "training", "account", "operations"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


class Identity(NamedTuple):
    """Who asks. `account_id` 0: nobody in particular, on a server that is open to all, or a challenge server's account."""

    account_id: int
    name: str
    role: str
    scopes: frozenset[str] = frozenset(SCOPES)
    until: float = float("inf")  # seconds since 1970
    remote_key: str | None = None  # of who is no account of ours, but of a challenge server's

    def has_role(self, role: str) -> bool:
        """Whether the role is `role` or a higher one."""
        return ROLES.index(self.role) >= ROLES.index(role)

    @property
    def sees_all(self) -> bool:
        """Whether other accounts' things are theirs to see."""
        return self.role == "admin"


EVERYBODY = Identity(0, "everybody", "admin")
"""Whoever asks a server with `AUTH = "open"`."""
