"""Proximal policy optimisation in one file, with eight remote CartPoles that are stepped as one instance.

    python examples/ppo_cartpole.py [server]

Needs: pip install torch. It reaches a mean return of 475, at which CartPole-v1 counts as solved, within a minute or two. All
choices are visible here; the hyperparameters are those of RL Baselines3 Zoo for this environment.
"""

import sys
import time

import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical

from gymserve import client

SERVER = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:5000"
SEED = 1
NUM_ENVS = 8
NUM_STEPS = 32  # per environment and update
NUM_UPDATES = 600
EPOCHS = 20
GAMMA, GAE_LAMBDA = 0.98, 0.8
LEARNING_RATE, CLIP = 1e-3, 0.2  # both decrease to 0
MAX_GRAD_NORM = 0.5
SOLVED = 475.0

torch.manual_seed(SEED)
torch.set_num_threads(1)  # the network is tiny


def layers(out: int, gain: float) -> nn.Sequential:
    network = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, out))
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.orthogonal_(layer.weight, gain if layer is network[-1] else 2**0.5)
            nn.init.zeros_(layer.bias)
    return network


actor, critic = layers(2, 0.01), layers(1, 1.0)
parameters = [*actor.parameters(), *critic.parameters()]
optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE, eps=1e-5)


def evaluate(episodes: int) -> float:
    """The mean return of the greedy policy."""
    returns = []
    with client.make("CartPole-v1", server=SERVER) as env:
        for episode in range(episodes):
            observation, _ = env.reset(seed=1000 + episode)
            total, done = 0.0, False
            while not done:
                with torch.no_grad():
                    action = int(actor(torch.as_tensor(observation)).argmax())
                observation, reward, terminated, truncated, _ = env.step(action)
                total += float(reward)
                done = terminated or truncated
            returns.append(total)
    return float(np.mean(returns))


# SameStep: a finished copy is reset within the same step, so that every transition is used.
envs = client.make_vec("CartPole-v1", num_envs=NUM_ENVS, autoreset_mode="SameStep", server=SERVER)
observation = torch.as_tensor(envs.reset(seed=SEED)[0])
began = time.monotonic()

for update in range(NUM_UPDATES):
    left = 1 - update / NUM_UPDATES
    optimizer.param_groups[0]["lr"] = LEARNING_RATE * left
    observations = torch.zeros(NUM_STEPS, NUM_ENVS, 4)
    actions, log_probs, rewards, dones, values = (torch.zeros(NUM_STEPS, NUM_ENVS) for _ in range(5))

    for step in range(NUM_STEPS):
        with torch.no_grad():
            policy = Categorical(logits=actor(observation))
            action = policy.sample()
            values[step] = critic(observation).squeeze(1)
        observations[step], actions[step], log_probs[step] = observation, action, policy.log_prob(action)
        following, reward, terminated, truncated, info = envs.step(action.numpy())
        rewards[step] = torch.as_tensor(reward)
        dones[step] = torch.as_tensor(terminated | truncated)
        if truncated.any():  # a time limit is not a failure: add the value of the following state
            final = torch.as_tensor(np.stack([info["final_obs"][index] for index in np.flatnonzero(truncated)]))
            with torch.no_grad():
                rewards[step, np.flatnonzero(truncated)] += GAMMA * critic(final.float()).squeeze(1)
        observation = torch.as_tensor(following)

    advantages = torch.zeros(NUM_STEPS, NUM_ENVS)
    with torch.no_grad():
        next_value, advantage = critic(observation).squeeze(1), torch.zeros(NUM_ENVS)
    for step in reversed(range(NUM_STEPS)):
        alive = 1 - dones[step]
        delta = rewards[step] + GAMMA * next_value * alive - values[step]
        advantage = delta + GAMMA * GAE_LAMBDA * alive * advantage
        advantages[step], next_value = advantage, values[step]
    targets = (advantages + values).flatten()
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)

    flat = observations.flatten(0, 1)
    for _ in range(EPOCHS):  # the batch is so small that it needs no minibatches
        policy = Categorical(logits=actor(flat))
        ratio = (policy.log_prob(actions.flatten()) - log_probs.flatten()).exp()
        clipped = ratio.clamp(1 - CLIP * left, 1 + CLIP * left)
        policy_loss = -torch.min(ratio * advantages.flatten(), clipped * advantages.flatten()).mean()
        value_loss = (critic(flat).squeeze(1) - targets).square().mean()
        optimizer.zero_grad()
        (policy_loss + 0.5 * value_loss).backward()
        nn.utils.clip_grad_norm_(parameters, MAX_GRAD_NORM)
        optimizer.step()

    if (update + 1) % 50 == 0:
        steps = (update + 1) * NUM_STEPS * NUM_ENVS
        mean = evaluate(5)
        print(f"{steps:>7} steps, {time.monotonic() - began:5.1f} s: mean return {mean:.1f}", flush=True)
        if mean >= SOLVED and (mean := evaluate(20)) >= SOLVED:
            print(f"solved: mean return {mean:.1f} over 20 episodes")
            break
envs.close()
