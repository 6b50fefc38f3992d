"""The environments' ids, and their old aliases."""

import gymnasium

_ENTRIES = {  # id → (entry point, max_episode_steps)
    "osim/Arm2D-v0": ("arm:Arm2D", 200),
    "osim/L2M2019-v0": ("learn_to_move:LearnToMove", 2500),
    "osim/Prosthetics-v0": ("prosthetics:Prosthetics", 1000),
    "osim/Run-v0": ("learning_to_run:LearningToRun", 1000),
}
ALIASES = {
    "Arm2DEnv": "osim/Arm2D-v0",
    "L2M2019Env": "osim/L2M2019-v0",
    "ProstheticsEnv": "osim/Prosthetics-v0",
    "Run": "osim/Run-v0",
}


def register() -> None:
    """Registers the environments with Gymnasium; a second call changes nothing."""
    for env_id, (entry, steps) in _ENTRIES.items():
        if env_id not in gymnasium.registry:
            gymnasium.register(env_id, entry_point=f"gymserve.environments.opensim.{entry}", max_episode_steps=steps)
