"""Challenges in the database: defined, changed, opened, closed, and what is told of them."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from grader.challenges import definition, seeds
from grader.challenges.challenge import PRACTICE, Challenge, Phase
from grader.server.competitions import phase_keys
from grader.server.competitions.phase_keys import Key
from gymserve.accounts.identity import Identity
from gymserve.protocol.errors import Forbidden, InvalidRequest, NotFound
from gymserve.store import Database, models
from gymserve.store.models import ChallengeVersion, now


class Held(NamedTuple):
    """A challenge that the server holds, as it is at present."""

    id: int
    version_id: int
    owner_id: int | None
    is_open: bool
    challenge: Challenge

    def is_overseen_by(self, who: Identity | None) -> bool:
        """Whether `who` is the challenge's organiser, or an administrator."""
        return who is not None and (who.sees_all or (who.has_role("organiser") and self.owner_id == who.account_id))

    def may_submit(self, at: datetime) -> bool:
        """Whether some phase takes submissions at this time."""
        return self.is_open and self.challenge.phase_at(at) is not None


class Competition:
    """Args:
    data: the server's data directory, where the secret of the seeds is kept.
    functions: `module:function`s of the organiser's that challenges may be scored with.
    """

    def __init__(self, database: Database, data: Path, *, functions: Sequence[str] = ()) -> None:
        self.database = database
        self.functions = list(functions)
        self._data = data
        self._read: dict[int, Challenge] = {}  # version → challenge

    def define(
        self,
        given: str | dict[str, Any],
        *,
        owner_id: int | None,
        sees_all: bool = False,
        check: Callable[[Challenge], object] = lambda challenge: None,
    ) -> Held:
        """Makes a challenge, or gives the one of this name a new definition; what was submitted keeps its own.

        Args:
            given: TOML, or what it would hold.
            sees_all: whoever asks may change everybody's.
            check: is called before anything is stored; what it raises refuses the definition.

        Raises:
            InvalidRequest: the definition is no good; the text names the line or the member.
            Forbidden: it is somebody else's challenge.
        """
        if isinstance(given, str):
            challenge = definition.read(given, functions=self.functions)
        else:
            challenge = definition.from_map(given, functions=self.functions)
        check(challenge)
        try:
            with self.database.writing() as session:
                row = _row(session, challenge.name)
                if row is None:
                    row = models.Challenge(name=challenge.name, owner_id=owner_id)
                    session.add(row)
                    session.flush()
                elif row.owner_id != owner_id and not sees_all:
                    raise Forbidden(f"the challenge {challenge.name} is somebody else's: choose another name")
                version = session.get(ChallengeVersion, row.version_id)
                if version is None or version.digest != challenge.digest:
                    text = challenge.to_json().decode()
                    version = ChallengeVersion(challenge_id=row.id, digest=challenge.digest, definition=text)
                    session.add(version)
                    session.flush()
                    row.version_id, row.changed_at = version.id, now()
                return self._held(row, version)
        except IntegrityError as error:
            raise InvalidRequest(f"the challenge {challenge.name} is being made by somebody else") from error

    def set_open(self, name: str, is_open: bool, *, owner_id: int | None, sees_all: bool) -> Held:
        """Opens or closes a challenge beside its dates.

        Raises:
            NotFound: there is none.
            Forbidden: it is somebody else's.
        """
        with self.database.writing() as session:
            row = _row(session, name)
            if row is None:
                raise NotFound(f"there is no challenge {name:.100}")
            if row.owner_id != owner_id and not sees_all:
                raise Forbidden(f"the challenge {name} is somebody else's")
            row.is_open, row.changed_at = is_open, now()
            return self._held(row, session.get_one(ChallengeVersion, row.version_id))

    def find(self, name: str) -> Held:
        """Raises: NotFound: there is none."""
        with self.database.reading() as session:
            row = _row(session, name)
            if row is None:
                raise NotFound(f"there is no challenge {name:.100}")
            return self._held(row, session.get_one(ChallengeVersion, row.version_id))

    def with_id(self, challenge_id: int) -> Held:
        """The challenge with this number."""
        with self.database.reading() as session:
            row = session.get_one(models.Challenge, challenge_id)
            return self._held(row, session.get_one(ChallengeVersion, row.version_id))

    def list(self) -> list[Held]:
        """All challenges, by their names."""
        query = select(models.Challenge, ChallengeVersion).join(
            ChallengeVersion, ChallengeVersion.id == models.Challenge.version_id
        )
        with self.database.reading() as session:
            return [self._held(row, version) for row, version in session.execute(query.order_by(models.Challenge.name))]

    def of_version(self, session: Session, version_id: int) -> Challenge:
        """The challenge as this version of it says."""
        if version_id not in self._read:
            version = session.get_one(ChallengeVersion, version_id)
            self._read[version_id] = self._parsed(version)
        return self._read[version_id]

    def phase_key(self, challenge: Challenge, phase: str, generation: int = 0) -> bytes:
        """The secret from which the seeds of a phase come; none of a practice phase."""
        if challenge.phase(phase).kind == PRACTICE:
            return seeds.practice_key(challenge.name, phase)
        return seeds.phase_key(seeds.server_secret(self._data / "seeds"), challenge.name, phase, generation)

    def commitment(self, challenge: Challenge, phase: str, generation: int = 0) -> str:
        """What is published of that secret."""
        return seeds.commitment(self.phase_key(challenge, phase, generation))

    def key_of(self, challenge_id: int, phase: Phase) -> Key:
        """Which key a phase has, and whether everybody may know it."""
        with self.database.reading() as session:
            key = phase_keys.known(session, challenge_id, phase.name)
            if key == phase_keys.due(session, challenge_id, phase, now()):
                return key
        with self.database.writing() as session:
            lock(session, challenge_id)
            present = self.present(session, challenge_id, phase)  # which may have been changed since it was read
            key = phase_keys.due(session, challenge_id, present, now())
            phase_keys.note(session, challenge_id, phase.name, key)
        return key

    def is_shown(self, held: Held, phase: Phase) -> bool:
        """Whether everybody may know the seeds of a phase."""
        return phase.kind == PRACTICE or self.key_of(held.id, phase).is_shown

    def present(self, session: Session, challenge_id: int, phase: Phase) -> Phase:
        """A phase as its challenge defines it now; as it was, where the challenge has it no more."""
        row = session.get_one(models.Challenge, challenge_id)
        latest = self.of_version(session, row.version_id)
        return next((each for each in latest.phases if each.name == phase.name), phase)

    def describe(self, held: Held) -> dict[str, Any]:
        """All that everybody may know of a challenge; the seeds of phases that are over as well."""
        at, challenge = now(), held.challenge
        phase = challenge.phase_at(at)
        told = {"actions": challenge.actions} | challenge.to_map()
        for each, own in zip(challenge.phases, told["phases"], strict=True):
            key = Key(is_shown=True) if each.kind == PRACTICE else self.key_of(held.id, each)
            own["commitment"] = self.commitment(challenge, each.name, key.generation)
            own["is_open"] = held.is_open and each.is_open(at)
            own["key"] = self.phase_key(challenge, each.name, key.generation).hex() if key.is_shown else None
        told["trials"] = {"number": challenge.trials.number, "fresh": challenge.trials.fresh}  # variants are secret
        return told | {
            "is_open": held.may_submit(at),
            "phase": phase.name if phase is not None and held.is_open else None,
            "digest": challenge.digest,
        }

    def _held(self, row: models.Challenge, version: ChallengeVersion) -> Held:
        if version.id not in self._read:
            self._read[version.id] = self._parsed(version)
        return Held(row.id, version.id, row.owner_id, row.is_open, self._read[version.id])

    def _parsed(self, version: ChallengeVersion) -> Challenge:
        return definition.from_map(json.loads(version.definition), functions=_Any())


class _Any(list[str]):
    """Functions of challenges that were accepted before."""

    def __contains__(self, name: object) -> bool:
        return True


def lock(session: Session, challenge_id: int) -> None:
    """Holds off all others who lock the same challenge, until the transaction ends."""
    session.execute(select(models.Challenge.id).where(models.Challenge.id == challenge_id).with_for_update())


def _row(session: Session, name: str) -> models.Challenge | None:
    if not name.isprintable():
        return None
    return session.scalar(select(models.Challenge).where(models.Challenge.name == name))
