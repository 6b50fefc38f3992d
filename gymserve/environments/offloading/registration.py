"""The ids of the offloading environments."""

import gymnasium

CONTINUOUS, DISCRETE = "runt/Offloading-v0", "runt/OffloadingDiscrete-v0"
EPISODE_STEPS = 100
_ENTRIES = {CONTINUOUS: "environment:Offloading", DISCRETE: "discrete:OffloadingDiscrete"}


def register() -> None:
    """Registers the environments with Gymnasium; a second call changes nothing."""
    for env_id, entry in _ENTRIES.items():
        if env_id not in gymnasium.registry:
            entry_point = f"gymserve.environments.offloading.{entry}"
            gymnasium.register(env_id, entry_point=entry_point, max_episode_steps=EPISODE_STEPS)
