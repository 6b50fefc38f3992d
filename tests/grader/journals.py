"""Challenges, agents and journals for the tests of the grader."""

from pathlib import Path
from typing import Any

from gymserve.environments import Catalogue
from gymserve.grader.challenges import definition, seeds
from gymserve.grader.challenges.challenge import Challenge
from gymserve.grader.practice import running
from gymserve.grader.proofs import receipt
from gymserve.grader.proofs.receipt import Receipt
from gymserve.grader.proofs.signing import Ed25519PrivateKey, public_text
from gymserve.grader.proofs.verification import Verdict
from gymserve.grader.scores import scoring
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
    """An agent that pushes left and right in turn, and restarts with each trial."""

    def __init__(self, observations: Any, actions: Any) -> None:
        self.resets, self.action = 0, 0

    def reset(self) -> None:
        self.resets += 1
        self.action = 0

    def act(self, observation: Any) -> int:
        self.action = 1 - self.action
        return self.action


def lean(observation: Any) -> int:
    """A policy that pushes towards the side to which the pole leans."""
    return int(observation[2] > 0)


def harmless(observation: Any) -> int:
    """A policy with the action that faulty environments handle well."""
    return 0


def make_challenge(environment: str, **more: Any) -> Challenge:
    """A challenge of three trials in an environment."""
    return definition.from_dict({"name": "cart", "environment": environment, "trials": {"number": 3}, **more})


def play(folder: Path, challenge: Challenge = CARTPOLE, agent: str = "tests.grader.journals:lean") -> Path:
    """The journal of a submission in the public phase."""
    plan = seeds.plan(challenge, "public", PHASE_KEY, "s1")
    return running.play(challenge, plan, running.agent(agent), folder, CATALOGUE)


def issue(journal: Path, challenge: Challenge = CARTPOLE, verdict: Verdict | None = None) -> Receipt:
    """The receipt of a journal from `play`."""
    return receipt.issue(
        SIGNING_KEY,
        receipt.GradedSubmission("s1", "ada", challenge, "public", seeds.commitment(PHASE_KEY)),
        journal=journal.read_bytes(),
        result=scoring.score_journal(read(journal), challenge.scoring),
        verdict=verdict,
        graded=1.5,
    )


def bodies(data: bytes) -> list[bytes]:
    """The bodies of a journal's records."""
    return [body for body, _, _ in frames(data)]


def from_bodies(journal: Path, parts: list[bytes]) -> bytes:
    """A journal of records with these bodies and valid checksums. It is written next to `journal`."""
    path = journal.with_name("rewritten")
    path.unlink(missing_ok=True)
    writing = Journal.create(path, parts[0], limit=1 << 30)
    for each in parts[1:]:
        writing.append(each)
    writing.close()
    return path.read_bytes()


def replace_record(journal: Path, place: int, body: bytes | None) -> bytes:
    """A journal whose record at `place` is replaced, or removed if `body` is None, with valid checksums."""
    parts = bodies(journal.read_bytes())
    parts[place : place + 1] = [] if body is None else [body]
    return from_bodies(journal, parts)


def step_like(step: Any, **changes: Any) -> bytes:
    """The body of a step like another one, with changes."""
    return records.encode_step(*step._replace(**changes))
