"""The environment's id, present and past."""

import gymnasium

ID = "rewards/CarRace-v0"
ALIASES = {"car-race": ID}
MOST_STEPS = 1000  # of an episode: some eight laps


def register() -> None:
    """Tells Gymnasium of the environment; a second call changes nothing."""
    if ID not in gymnasium.registry:
        entry = "gymserve.environments.car_race.race:CarRace"
        gymnasium.register(ID, entry_point=entry, max_episode_steps=MOST_STEPS)
