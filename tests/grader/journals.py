"""Challenges, agents and journals that tests of the grader share."""

from pathlib import Path
from typing import Any

from grader.challenges import definition, seeds
from grader.challenges.challenge import Challenge
from grader.practice import running
from grader.proofs import receipt
from grader.proofs.receipt import Receipt
from grader.proofs.signing import Ed25519PrivateKey, public_text
from grader.proofs.verification import Verdict
from grader.scores import scoring
from gymserve.environments import Catalogue
from gymserve.journal import Journal, read, records
from gymserve.journal.file import frames

CATALOGUE = Catalogue(["tests.support.environments.faulty"])
CARTPOLE = definition.read(
    """name = "cart"
environment = "CartPole-v1"
max_episode_steps = 20
trials = { number = 4 }
scoring = { worst = 0 }
"""
)
PHASE_KEY = seeds.phase_key(b"secret", "cart", "public")
SIGNING_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = public_text(SIGNING_KEY)


class Alternating:
    """An agent that pushes left and right in turn, and hears of each trial's start."""

    def __init__(self, observations: Any, actions: Any) -> None:
        self.resets, self.action = 0, 0

    def reset(self) -> None:
        self.resets += 1
        self.action = 0

    def act(self, observation: Any) -> int:
        self.action = 1 - self.action
        return self.action


def lean(observation: Any) -> int:
    """A policy: push to where the pole leans."""
    return int(observation[2] > 0)


def well(observation: Any) -> int:
    """What faulty environments take without a fault."""
    return 0


def challenge(environment: str, **more: Any) -> Challenge:
    return definition.from_map({"name": "cart", "environment": environment, "trials": {"number": 3}, **more})


def played(folder: Path, played: Challenge = CARTPOLE, agent: str = "tests.grader.journals:lean") -> Path:
    """The journal of a submission in the public phase."""
    plan = seeds.plan(played, "public", PHASE_KEY, "s1")
    return running.play(played, plan, running.agent(agent), folder, CATALOGUE)


def issued(journal: Path, played: Challenge = CARTPOLE, verdict: Verdict | None = None) -> Receipt:
    return receipt.issue(
        SIGNING_KEY,
        journal=journal.read_bytes(),
        challenge=played,
        phase="public",
        commitment=seeds.commitment(PHASE_KEY),
        submission="s1",
        account="ada",
        result=scoring.of_journal(read(journal), played.scoring),
        verdict=verdict,
        graded=1.5,
    )


def bodies(data: bytes) -> list[bytes]:
    """The records' bodies of a journal."""
    return [body for body, _, _ in frames(data)]


def of_bodies(journal: Path, parts: list[bytes]) -> bytes:
    """A journal of records with these bodies, with every check right; it is written beside another one."""
    path = journal.with_name("rewritten")
    path.unlink(missing_ok=True)
    writing = Journal.create(path, parts[0], limit=1 << 30)
    for each in parts[1:]:
        writing.append(each)
    writing.close()
    return path.read_bytes()


def rewritten(journal: Path, place: int, body: bytes | None) -> bytes:
    """A journal whose record at `place` was replaced (None: left out), with every check made right again."""
    parts = bodies(journal.read_bytes())
    parts[place : place + 1] = [] if body is None else [body]
    return of_bodies(journal, parts)


def a_step(like: Any, **changes: Any) -> bytes:
    """The body of a step that is like another but for `changes`."""
    return records.encode_step(*like._replace(**changes))
