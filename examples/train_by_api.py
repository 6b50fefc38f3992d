"""Trains on the server, over its API: python examples/train_by_api.py [server] [timesteps]

The server needs its training libraries: pip install "gymserve[server,train]"
"""

import sys

import gymnasium

from gymserve import client

server = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:5000"
timesteps = int(sys.argv[2]) if len(sys.argv) > 2 else 20_000

experiments = client.Experiments(server)
run = experiments.train("pole", algorithm="PPO", environment="CartPole-v1", total_timesteps=timesteps, seed=1)
run.wait()  # shows a bar on a terminal

for name, (steps, values) in run.metrics("reward", points=5).items():
    print(name, ", ".join(f"{value:.0f} after {step}" for step, value in zip(steps, values, strict=True)))

model = run.keep("pole")
env = gymnasium.make("CartPole-v1")  # a local one: only the model is on the server
observation, info = env.reset(seed=0)
total, done = 0.0, False
while not done:
    observation, reward, terminated, truncated, info = env.step(model(observation))
    total, done = total + float(reward), terminated or truncated
print(f"model {model.id} has a return of {total:g}")
experiments.close()
