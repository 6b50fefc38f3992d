"""Challenges in the database: define, open, close, find and describe them."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from gymserve.accounts.identity import Identity
from gymserve.grader.challenges import definition, seeds
from gymserve.grader.challenges.challenge import PRACTICE, Challenge, Phase
from gymserve.grader.server.competitions import phase_keys
from gymserve.grader.server.competitions.phase_keys import KeyState
from gymserve.protocol.errors import Forbidden, InvalidRequest, NotFound
from gymserve.protocol.wire import JSONObject
from gymserve.store import Database
from gymserve.store.models import ChallengeRow, ChallengeVersion, now


class ChallengeRecord(NamedTuple):
    """A challenge in the database, in its present version."""

    id: int
    version_id: int
    owner_id: int | None
    is_open: bool
    challenge: Challenge

    def is_overseen_by(self, who: Identity | None) -> bool:
        """Whether `who` is the challenge's organiser or an administrator."""
        return who is not None and (who.sees_all or (who.has_role("organiser") and self.owner_id == who.account_id))

    def may_submit(self, at: datetime) -> bool:
        """Whether a phase accepts submissions at this time."""
        return self.is_open and self.challenge.phase_at(at) is not None


class Competition:
    """The challenges of a server.

    Args:
        data: the server's data directory, which has the secret of the seeds.
        functions: the scoring functions of the organiser, as `module:function`, that challenges may use.
    """

    def __init__(self, database: Database, data: Path, *, functions: Sequence[str] = ()) -> None:
        self.database = database
        self.functions = list(functions)
        self._data = data
        self._versions: dict[int, Challenge] = {}  # version id → challenge

    def define(
        self,
        source: str | Mapping[str, object],
        *,
        owner_id: int | None,
        sees_all: bool = False,
        check: Callable[[Challenge], object] = lambda challenge: None,
    ) -> ChallengeRecord:
        """Creates a challenge, or gives an existing one a new definition. Submissions keep the definition they began under.

        Args:
            source: the definition as TOML text, or as the data that the TOML would contain.
            sees_all: whether the caller may change other accounts' challenges.
            check: called before anything is stored; refuses the definition by raising.

        Raises:
            InvalidRequest: the definition is invalid; the message names the line or the field.
            Forbidden: the challenge belongs to another account.
        """
        if isinstance(source, str):
            challenge = definition.read(source, functions=self.functions)
        else:
            challenge = definition.from_dict(source, functions=self.functions)
        check(challenge)
        try:
            with self.database.writing() as session:
                row = _row(session, challenge.name)
                if row is None:
                    row = ChallengeRow(name=challenge.name, owner_id=owner_id)
                    session.add(row)
                    session.flush()
                elif row.owner_id != owner_id and not sees_all:
                    raise Forbidden(f"the challenge {challenge.name} belongs to another account: choose another name")
                version = session.get(ChallengeVersion, row.version_id)
                if version is None or version.digest != challenge.digest:
                    text = challenge.to_json().decode()
                    version = ChallengeVersion(challenge_id=row.id, digest=challenge.digest, definition=text)
                    session.add(version)
                    session.flush()
                    row.version_id, row.changed_at = version.id, now()
                return self._record(row, version)
        except IntegrityError as error:
            raise InvalidRequest(f"another account is creating the challenge {challenge.name} right now") from error

    def set_open(self, name: str, is_open: bool, *, owner_id: int | None, sees_all: bool) -> ChallengeRecord:
        """Opens or closes a challenge, independently of its phases' dates.

        Raises:
            NotFound: there is no such challenge.
            Forbidden: it belongs to another account.
        """
        with self.database.writing() as session:
            row = _row(session, name)
            if row is None:
                raise NotFound(f"there is no challenge {name:.100}")
            if row.owner_id != owner_id and not sees_all:
                raise Forbidden(f"the challenge {name} belongs to another account")
            row.is_open, row.changed_at = is_open, now()
            return self._record(row, session.get_one(ChallengeVersion, row.version_id))

    def find(self, name: str) -> ChallengeRecord:
        """The challenge with this name.

        Raises:
            NotFound: there is no such challenge.
        """
        with self.database.reading() as session:
            row = _row(session, name)
            if row is None:
                raise NotFound(f"there is no challenge {name:.100}")
            return self._record(row, session.get_one(ChallengeVersion, row.version_id))

    def with_id(self, challenge_id: int) -> ChallengeRecord:
        """The challenge with this id, which must exist."""
        with self.database.reading() as session:
            row = session.get_one(ChallengeRow, challenge_id)
            return self._record(row, session.get_one(ChallengeVersion, row.version_id))

    def list(self) -> list[ChallengeRecord]:
        """All challenges, ordered by name."""
        query = select(ChallengeRow, ChallengeVersion).join(
            ChallengeVersion, ChallengeVersion.id == ChallengeRow.version_id
        )
        with self.database.reading() as session:
            return [self._record(row, version) for row, version in session.execute(query.order_by(ChallengeRow.name))]

    def of_version(self, session: Session, version_id: int) -> Challenge:
        """The definition with this version id."""
        if version_id not in self._versions:
            version = session.get_one(ChallengeVersion, version_id)
            self._versions[version_id] = self._parse(version)
        return self._versions[version_id]

    def phase_key(self, challenge: Challenge, phase: str, generation: int = 0) -> bytes:
        """The secret from which a phase's seeds are derived. A practice phase's is public."""
        if challenge.phase(phase).kind == PRACTICE:
            return seeds.practice_key(challenge.name, phase)
        return seeds.phase_key(seeds.server_secret(self._data / "seeds"), challenge.name, phase, generation)

    def commitment(self, challenge: Challenge, phase: str, generation: int = 0) -> str:
        """The public commitment to a phase's key."""
        return seeds.commitment(self.phase_key(challenge, phase, generation))

    def key_of(self, challenge_id: int, phase: Phase) -> KeyState:
        """The generation of a phase's key, and whether it is public. Publishes or replaces the key if that is due."""
        with self.database.reading() as session:
            key = phase_keys.load(session, challenge_id, phase.name)
            if key == phase_keys.expected(session, challenge_id, phase, now()):
                return key
        with self.database.writing() as session:
            lock(session, challenge_id)
            present = self.present(session, challenge_id, phase)  # it may have changed since it was read
            key = phase_keys.expected(session, challenge_id, present, now())
            phase_keys.store(session, challenge_id, phase.name, key)
        return key

    def is_shown(self, record: ChallengeRecord, phase: Phase) -> bool:
        """Whether the seeds of a phase are public."""
        return phase.kind == PRACTICE or self.key_of(record.id, phase).is_shown

    def present(self, session: Session, challenge_id: int, phase: Phase) -> Phase:
        """The phase of the same name in the challenge's present definition, or `phase` if it was removed."""
        row = session.get_one(ChallengeRow, challenge_id)
        latest = self.of_version(session, row.version_id)
        return next((each for each in latest.phases if each.name == phase.name), phase)

    def describe(self, record: ChallengeRecord) -> JSONObject:
        """The public description of a challenge, with the keys of phases that are over."""
        at, challenge = now(), record.challenge
        phase = challenge.phase_at(at)
        description: JSONObject = {"actions": challenge.actions} | challenge.to_dict()
        for each, fields in zip(challenge.phases, description["phases"], strict=True):
            key = KeyState(is_shown=True) if each.kind == PRACTICE else self.key_of(record.id, each)
            fields["commitment"] = self.commitment(challenge, each.name, key.generation)
            fields["is_open"] = record.is_open and each.is_open(at)
            fields["key"] = self.phase_key(challenge, each.name, key.generation).hex() if key.is_shown else None
        description["trials"] = {
            "number": challenge.trials.number,
            "fresh": challenge.trials.fresh,
        }  # variants are secret
        return description | {
            "is_open": record.may_submit(at),
            "phase": phase.name if phase is not None and record.is_open else None,
            "digest": challenge.digest,
        }

    def _record(self, row: ChallengeRow, version: ChallengeVersion) -> ChallengeRecord:
        if version.id not in self._versions:
            self._versions[version.id] = self._parse(version)
        return ChallengeRecord(row.id, version.id, row.owner_id, row.is_open, self._versions[version.id])

    def _parse(self, version: ChallengeVersion) -> Challenge:
        return definition.from_dict(json.loads(version.definition), functions=_AnyFunction())


class _AnyFunction(list[str]):
    """Allows every scoring function, for definitions that were checked when they were stored."""

    def __contains__(self, name: object) -> bool:
        return True


def lock(session: Session, challenge_id: int) -> None:
    """Locks a challenge against other transactions that lock it, until this one ends."""
    session.execute(select(ChallengeRow.id).where(ChallengeRow.id == challenge_id).with_for_update())


def _row(session: Session, name: str) -> ChallengeRow | None:
    if not name.isprintable():
        return None
    return session.scalar(select(ChallengeRow).where(ChallengeRow.name == name))
