"""What the client decides when replies do not come, shown without any I/O: commands in, results out."""

from typing import Any

import gymnasium
import numpy as np
import pytest

from gymserve import client
from gymserve.client.transport.conversation import Connect, Conversation, Exchange, Sleep
from gymserve.client.transport.exceptions import CannotUpgrade
from gymserve.client.transport.http_format import Call
from gymserve.client.transport.instance import Instance, InstanceRequest
from gymserve.client.transport.patience import Patience
from gymserve.protocol import wire
from gymserve.protocol.spaces import describe

OBSERVATION = np.zeros(4, np.float32)
DESCRIBE = Call("GET", "/v1/envs/token/?bounds=short")


class Stream:
    """An open stream that only knows whether it was closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


def reply(kind: int, seq: int, *values: Any) -> bytes:
    return wire.pack((kind, seq, OBSERVATION.tobytes(), *values))


def sent(command: Any) -> list[Any]:
    """The message of an Exchange."""
    assert isinstance(command, Exchange)
    return list(wire.unpack(command.message))


class Agent:
    """An agent that answers a conversation's commands by hand."""

    def __init__(self) -> None:
        env = gymnasium.make("CartPole-v1")
        description = {"action_space": describe(env.action_space), "observation_space": describe(env.observation_space)}
        request = InstanceRequest(env_id="CartPole-v1", kwargs={})
        self.conversation: Conversation[Stream] = Conversation(
            Instance("token", request, description), compression=None
        )
        self.stream = Stream()

    def begin(self, failure: BaseException | None = None, *, patience: float = 30.0) -> Any:
        """The first command for the current request."""
        self.flow = self.conversation.carry_out(Patience(patience, chance=lambda: 0.5), failure)
        return next(self.flow)

    def end(self, result: Any) -> Any:
        """The flow's result, once `result` has answered its last command."""
        with pytest.raises(StopIteration) as end:
            self.flow.send(result)
        return end.value.value

    def reset(self) -> None:
        self.conversation.reset(0, None)
        assert self.begin() == Connect("/v1/envs/token/stream")
        assert sent(self.flow.send(self.stream)) == [wire.RESET, 1, 0, None]
        self.end(reply(wire.RESET, 1, {}))


@pytest.fixture
def agent() -> Agent:
    agent = Agent()
    agent.reset()
    return agent


def test_a_lost_reply_is_asked_for_again_on_another_stream(agent: Agent) -> None:
    message = agent.conversation.step(1)
    assert agent.begin(client.ConnectionLost("gone")) == Sleep(0.0)
    assert agent.stream.closed and isinstance(next(agent.flow), Connect)
    again = agent.flow.send(Stream())
    assert again.message == message
    observation, *rest = agent.end(reply(wire.STEP, 2, 1.0, False, False, {}))
    assert np.array_equal(observation, OBSERVATION) and rest == [1.0, False, False, {}]
    assert agent.conversation.seq == 2


def test_a_request_that_ends_two_streams_is_sent_over_http(agent: Agent) -> None:
    agent.conversation.step(1)
    assert agent.begin(client.ConnectionLost("gone")) == Sleep(0.0)
    next(agent.flow)
    agent.flow.send(Stream())
    assert agent.flow.throw(client.ConnectionLost("gone again")) == Sleep(0.02)
    assert next(agent.flow) == Call("POST", "/v1/envs/token/step/", {"action": 1, "seq": 2})
    with pytest.raises(client.EnvironmentFailed):
        agent.flow.throw(client.EnvironmentFailed("it crashes"))
    assert agent.conversation.unresolved is None and not agent.conversation.over_http


def test_a_network_without_websocket_is_remembered() -> None:
    agent = Agent()
    agent.conversation.reset(0, None)
    assert isinstance(agent.begin(), Connect)
    assert agent.flow.throw(CannotUpgrade()) == Sleep(0.0)
    assert next(agent.flow) == Call("POST", "/v1/envs/token/reset/", {"seed": 0, "options": None, "seq": 1})
    agent.end({"observation": [0.0] * 4, "info": {}})
    agent.conversation.step(0)
    assert agent.begin() == Call("POST", "/v1/envs/token/step/", {"action": 0, "seq": 2})


def test_a_rate_limit_is_waited_for_on_the_same_stream(agent: Agent) -> None:
    agent.conversation.step(1)
    refusal = client.TooFast("slow down")
    refusal.retry_after = 7.0
    assert agent.begin(refusal) == Sleep(7.0)
    assert next(agent.flow).stream is agent.stream
    refusal.retry_after = 31.0
    with pytest.raises(client.TooFast):
        agent.flow.throw(refusal)
    assert agent.conversation.stream is agent.stream and agent.conversation.unresolved is None


@pytest.mark.parametrize("error", [KeyboardInterrupt(), client.TimedOut("silence")])
def test_after_an_interruption_another_request_goes_on_from_the_servers_seq(agent: Agent, error: BaseException) -> None:
    agent.conversation.step(1)
    with pytest.raises(type(error)):
        agent.begin(error)
    assert agent.stream.closed
    agent.conversation.step(0)
    assert agent.begin() == DESCRIBE
    assert isinstance(agent.flow.send({"seq": 2}), Connect)
    assert sent(agent.flow.send(Stream())) == [wire.STEP, 3, 0]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), client.TimedOut("silence")])
def test_after_an_interruption_the_same_request_has_the_same_seq(agent: Agent, error: BaseException) -> None:
    agent.conversation.step(1)
    with pytest.raises(type(error)):
        agent.begin(error)
    agent.conversation.step(1)
    assert isinstance(agent.begin(), Connect)
    assert sent(agent.flow.send(Stream())) == [wire.STEP, 2, 1]


def test_the_first_request_may_be_interrupted_too() -> None:
    agent = Agent()
    agent.conversation.reset(0, None)
    agent.begin()
    agent.flow.send(agent.stream)
    with pytest.raises(KeyboardInterrupt):
        agent.flow.throw(KeyboardInterrupt())
    assert agent.stream.closed
    agent.conversation.reset(1, None)
    assert agent.begin() == DESCRIBE


def test_a_request_that_was_never_sent_leaves_no_doubt(agent: Agent) -> None:
    agent.conversation.step(1)
    with pytest.raises(client.TimedOut):
        agent.begin(client.TimedOut("silence"))
    agent.conversation.step(0)
    agent.begin()
    with pytest.raises(client.TimedOut):
        agent.flow.throw(client.TimedOut("silence again"))  # before the server said its seq
    agent.conversation.step(0)
    assert agent.begin() == DESCRIBE


@pytest.mark.parametrize("error", [client.KeyReused("another's"), client.OutOfSequence("another's")])
def test_a_seq_that_another_agent_used_is_asked_for_even_before_the_same_request(
    agent: Agent, error: client.ServerError
) -> None:
    agent.conversation.step(1)
    with pytest.raises(type(error)):
        agent.begin(error)
    agent.conversation.step(1)
    assert agent.begin() == DESCRIBE


def test_closing_ends_what_is_under_way(agent: Agent) -> None:
    agent.conversation.step(1)
    assert agent.conversation.close() and not agent.conversation.close()
    assert agent.stream.closed
    with pytest.raises(client.ServerError, match="closed"):
        agent.begin(client.ConnectionLost("it was shut"))
    with pytest.raises(client.ServerError, match="closed"):
        agent.begin()


def test_closing_while_a_stream_opens_closes_that_as_well() -> None:
    agent = Agent()
    agent.conversation.reset(0, None)
    assert isinstance(agent.begin(), Connect)
    agent.conversation.close()
    with pytest.raises(client.ServerError, match="closed"):
        agent.flow.send(agent.stream)
    assert agent.stream.closed


def test_patience_ends_with_the_error_and_what_to_do(agent: Agent) -> None:
    agent.conversation.step(1)
    with pytest.raises(client.ConnectionLost, match="is the server running"):
        agent.begin(client.ConnectionLost("gone"), patience=0.0)


def test_a_reply_to_another_request_ends_the_stream(agent: Agent) -> None:
    agent.conversation.step(1)
    for wrong in (reply(wire.STEP, 1, 1.0, False, False, {}), reply(wire.RESET, 2, {}), b"\xc1"):
        with pytest.raises(client.ConnectionLost):
            agent.conversation.read(wrong)
