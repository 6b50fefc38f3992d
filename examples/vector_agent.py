"""Sixty-four environments that are stepped as one: python examples/vector_agent.py [server]

A vector environment takes one request for all its copies, so that the network costs each of them a sixty-fourth.
"""

import sys
import time

import numpy as np

from gymserve import client

server = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:5000"
STEPS = 500

envs = client.make_vec("CartPole-v1", num_envs=64, server=server)
observations, infos = envs.reset(seed=0)
returns, finished = np.zeros(envs.num_envs), []
began = time.perf_counter()
for _ in range(STEPS):
    actions = (observations[:, 2] + observations[:, 3] > 0).astype(np.int64)  # towards the side to which the pole falls
    observations, rewards, terminated, truncated, infos = envs.step(actions)
    returns += rewards
    over = terminated | truncated  # each copy resets by itself at its next step
    finished.extend(returns[over])
    returns[over] = 0.0
seconds = time.perf_counter() - began
envs.close()
print(f"{len(finished)} episodes, mean return {np.mean(finished):.1f}, {STEPS * 64 / seconds:,.0f} steps/s")
