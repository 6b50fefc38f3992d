"""A random agent: python examples/random_agent.py [server] [environment]"""

import sys

from gymserve import client

server = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:5000"
env_id = sys.argv[2] if len(sys.argv) > 2 else "CartPole-v1"

with client.make(env_id, server=server) as env:
    env.action_space.seed(0)
    observation, info = env.reset(seed=0)
    total, done = 0.0, False
    while not done:
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        total += float(reward)
        done = terminated or truncated
print(f"return {total:g}")
