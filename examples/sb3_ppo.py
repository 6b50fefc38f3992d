"""Trains with Stable-Baselines3 on a remote environment: python examples/sb3_ppo.py [server] [timesteps]

Needs: pip install stable-baselines3
"""

import sys

from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor

from gymserve import client

server = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:5000"
timesteps = int(sys.argv[2]) if len(sys.argv) > 2 else 50_000

env = Monitor(client.make("CartPole-v1", server=server))
model = PPO("MlpPolicy", env, seed=1, n_steps=256, device="cpu")
model.learn(timesteps)
mean, spread = evaluate_policy(model, env, n_eval_episodes=10)
print(f"mean return {mean:.1f} ± {spread:.1f}")
env.close()
