"""CartPole over dm-env-rpc: `serve CPU` prints its port; `act PORT` prints µs per step for each input line of seconds."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import gymnasium
from dm_env_rpc.v1 import connection, dm_env_adaptor, dm_env_rpc_pb2, dm_env_rpc_pb2_grpc, spec_manager

from benchmarks import steps

SPECS = dm_env_rpc_pb2.ActionObservationSpecs(
    actions={1: dm_env_rpc_pb2.TensorSpec(name="action", dtype=dm_env_rpc_pb2.INT64)},
    observations={
        1: dm_env_rpc_pb2.TensorSpec(name="observation", shape=[4], dtype=dm_env_rpc_pb2.FLOAT),
        2: dm_env_rpc_pb2.TensorSpec(name="reward", dtype=dm_env_rpc_pb2.DOUBLE),
    },
)


class CartPole(dm_env_rpc_pb2_grpc.EnvironmentServicer):
    """One world per connection; the step after the last one of an episode starts the next episode."""

    def Process(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        env, state = gymnasium.make("CartPole-v1", disable_env_checker=True), dm_env_rpc_pb2.TERMINATED
        actions = spec_manager.SpecManager(SPECS.actions)
        observations = spec_manager.SpecManager(SPECS.observations)
        for request in requests:
            response = dm_env_rpc_pb2.EnvironmentResponse()
            kind = request.WhichOneof("payload")
            if kind == "create_world":
                response.create_world.world_name = "CartPole-v1"
            elif kind == "join_world":
                response.join_world.specs.CopyFrom(SPECS)
            elif kind == "reset":
                state = dm_env_rpc_pb2.INTERRUPTED
                response.reset.specs.CopyFrom(SPECS)
            elif kind == "step":
                if state == dm_env_rpc_pb2.RUNNING:
                    action = actions.unpack(request.step.actions)["action"]
                    observation, reward, terminated, truncated, _ = env.step(action)
                    if terminated:
                        state = dm_env_rpc_pb2.TERMINATED
                    elif truncated:
                        state = dm_env_rpc_pb2.INTERRUPTED
                else:
                    (observation, _), reward, state = env.reset(), 0.0, dm_env_rpc_pb2.RUNNING
                packed = observations.pack({"observation": observation, "reward": reward})
                for uid in request.step.requested_observations:
                    response.step.observations[uid].CopyFrom(packed[uid])
                response.step.state = state
            else:
                response.error.message = f"not part of the benchmark: {kind}"
            yield response


def serve(cpu: int) -> None:
    os.sched_setaffinity(0, {cpu})
    server = grpc.server(ThreadPoolExecutor(1))
    dm_env_rpc_pb2_grpc.add_EnvironmentServicer_to_server(CartPole(), server)
    port = server.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


def act(port: int) -> None:
    link = connection.create_secure_channel_and_connect(f"127.0.0.1:{port}", timeout=60)
    env, _ = dm_env_adaptor.create_and_join_world(link, {}, {})
    env.reset()
    for line in sys.stdin:
        took = steps.time_per_step(
            lambda action: bool(env.step({"action": action}).last()), lambda: env.step({}), float(line)
        )
        print(took, flush=True)


if __name__ == "__main__":
    {"serve": serve, "act": act}[sys.argv[1]](int(sys.argv[2]))
