"""The environment's id, and its old alias."""

import gymnasium

ID = "rewards/CarRace-v0"
ALIASES = {"car-race": ID}
MOST_STEPS = 1000  # per episode: about eight laps


def register() -> None:
    """Registers the environment with Gymnasium; a second call changes nothing."""
    if ID not in gymnasium.registry:
        entry = "gymserve.environments.car_race.race:CarRace"
        gymnasium.register(ID, entry_point=entry, max_episode_steps=MOST_STEPS)
