"""Eight slow environments that step at the same time: python examples/vector_agent_async.py [server] [environment]

Each copy is an instance with a process of its own on the server. Whichever copies are ready first get their next actions,
so that all cores are busy, and a copy that is slow, or resets, keeps no other one waiting.
"""

import sys
import time

import numpy as np

from gymserve import client

server = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:5000"
env_id = sys.argv[2] if len(sys.argv) > 2 else "osim/Run-v0"
STEPS = 400

envs = client.make_vec(env_id, num_envs=8, vectorization_mode="async", batch_size=4, server=server)
returns, finished = np.zeros(envs.num_envs), []
envs.reset_async(seed=0)
began = time.perf_counter()
for _ in range(STEPS // envs.batch_size):
    observations, rewards, terminated, truncated, infos = envs.recv()  # of the four copies that are ready first
    copies = infos["env_id"]
    returns[copies] += rewards
    over = copies[terminated | truncated]  # each of them resets by itself at its next step
    finished.extend(returns[over])
    returns[over] = 0.0
    envs.send([envs.single_action_space.sample() for _ in copies], copies)
seconds = time.perf_counter() - began
envs.close()
print(f"{len(finished)} episodes, {STEPS / seconds:,.0f} steps/s")
