"""The identity of a caller, and what its role and scopes allow."""

from typing import Literal, NamedTuple, get_args

from gymserve.store.models import ROLES

Scope = Literal["environments", "submissions", "training", "account", "operations"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


class Identity(NamedTuple):
    """A caller. `account_id` is 0 for anyone on a server without accounts, and for an account on a challenge server."""

    account_id: int
    name: str
    role: str
    scopes: frozenset[str] = frozenset(SCOPES)
    until: float = float("inf")  # seconds since 1970
    remote_key: str | None = None  # the caller's key on a challenge server elsewhere, if its account is there

    def has_role(self, role: str) -> bool:
        """Whether the role is `role` or a higher one."""
        return ROLES.index(self.role) >= ROLES.index(role)

    @property
    def sees_all(self) -> bool:
        """Whether the caller may see what belongs to other accounts."""
        return self.role == "admin"


EVERYBODY = Identity(0, "everybody", "admin")
"""Any caller of a server with `AUTH = "open"`."""
