"""What looks into a run of Stable-Baselines3: metrics, evaluations, checkpoints, and wishes that come as signals."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import KVWriter, TensorBoardOutputFormat
from stable_baselines3.common.vec_env import VecEnv, sync_envs_normalization

from gymserve.training.plan.training_plan import TrainingPlan
from gymserve.training.runners import checkpoint
from gymserve.training.runners.best_episode import BestEpisode
from gymserve.training.runners.folder import Folder, MetricsFile

PAUSE_SIGNAL = signal.SIGUSR1
CHECKPOINT_SECONDS = 60.0  # between checkpoints, or a hundred times what one takes
SHOW_SECONDS = 1.0  # between episodes that are kept to be looked at
UNKEPT = "time/"  # of the library's own values: they say nothing about the learning
SPEED = "time/fps"


class Paused(Exception):
    """Ends `learn` at the start of a roll-out; all is in a checkpoint."""


class Stopped(Exception):
    """Ends `learn` where it does not heed what a callback answers, or at the start of a roll-out."""


class Wishes:
    """What signals have asked for: SIGINT to stop, SIGUSR1 to pause."""

    def __init__(self) -> None:
        self.stop = self.pause = False
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(PAUSE_SIGNAL, self._pause)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stop = True

    def _pause(self, number: int, frame: FrameType | None) -> None:
        self.pause = True


class Lines(KVWriter):
    """The library's own values, as lines of the metrics file."""

    def __init__(self, metrics: MetricsFile) -> None:
        self.metrics = metrics

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        values = {
            name: float(value)
            for name, value in key_values.items()
            if isinstance(value, (int, float, numpy.number)) and (not name.startswith(UNKEPT) or name == SPEED)
        }
        if values:
            self.metrics.write(step, values)

    def close(self) -> None:
        self.metrics.flush()


class Board(TensorBoardOutputFormat):
    """TensorBoard files; what an interrupted run wrote after `since` is not shown twice."""

    def __init__(self, folder: Path, *, since: int | None) -> None:
        super().__init__(str(folder))
        if since is not None:
            self.writer.close()
            self.writer = type(self.writer)(log_dir=str(folder), purge_step=since + 1)


class Watch(BaseCallback):
    """Args:
    plan: the experiment's.
    evaluation: makes the environment that evaluations happen in, when it is first needed.
    restored: where the run goes on from.
    """

    def __init__(
        self,
        plan: TrainingPlan,
        folder: Folder,
        metrics: MetricsFile,
        wishes: Wishes,
        *,
        evaluation: Callable[[], VecEnv],
        restored: checkpoint.Restored | None,
    ) -> None:
        super().__init__()
        self.plan, self.folder, self.metrics, self.wishes = plan, folder, metrics, wishes
        self._make_evaluation = evaluation
        self._evaluation: VecEnv | None = None
        self._restored = restored
        self._next_checkpoint = plan.checkpoint_every or 0
        self._next_moment = time.monotonic() + CHECKPOINT_SECONDS
        self._next_evaluation = plan.evaluation.every
        self._episodes_left: int | None = plan.total_episodes
        self._next_show = 0.0
        if restored is not None:
            self._next_evaluation = restored.more["next_evaluation"]
            self._episodes_left = restored.more.get("episodes_left")
            self._next_checkpoint = restored.model.num_timesteps + (plan.checkpoint_every or 0)

    def _on_rollout_start(self) -> None:
        if self._restored is not None:
            self._restored.begin()
            self._restored = None
        if self._episodes_left == 0:  # here, so that all that was collected was learnt from
            raise Stopped
        steps = self.model.num_timesteps
        if self.plan.evaluation.every and steps >= self._next_evaluation:
            self._next_evaluation = steps + self.plan.evaluation.every
            found = self.evaluate()
            self.metrics.write(
                steps, {"evaluation/mean_reward": found["mean_reward"], "evaluation/std_reward": found["std_reward"]}
            )
        if self.wishes.pause or self._due(steps):
            self._keep(steps)
            if self.wishes.pause:
                raise Paused
        else:
            self._breathe()

    def _due(self, steps: int) -> bool:
        """Whether it is time for a checkpoint: every so many timesteps, or seldom enough to cost little."""
        if self.plan.checkpoint_every is None:
            return time.monotonic() >= self._next_moment
        return self.plan.checkpoint_every > 0 and steps >= self._next_checkpoint

    def _keep(self, steps: int) -> None:
        began = time.monotonic()
        self._next_checkpoint = steps + (self.plan.checkpoint_every or 0)
        more = {"next_evaluation": self._next_evaluation, "episodes_left": self._episodes_left}
        with self.folder.new_checkpoint(steps) as fresh:
            checkpoint.save(
                self.model,
                fresh,
                metrics_bytes=self.metrics.flush(),
                hyperparameters=self.plan.hyperparameters,
                more=more,
            )
        now = time.monotonic()
        self._next_moment = now + max(CHECKPOINT_SECONDS, 100 * (now - began))

    def _breathe(self) -> None:
        if time.monotonic() - self.metrics._flushed > 1.0:
            self.metrics.flush()

    def _on_step(self) -> bool:
        if "infos" not in self.locals:  # ARS shows nothing here, and does not heed the answer
            if self.wishes.stop:
                raise Stopped
            return True
        for number, info in enumerate(self.locals["infos"]):
            if "episode" in info:
                self._episode(info["episode"])
                if self.plan.show and time.monotonic() >= self._next_show:
                    self._show(number)
        return not self.wishes.stop

    def _on_rollout_end(self) -> None:
        if "infos" not in self.locals:
            for episode in self.model.ep_info_buffer or ():
                self._episode(episode)

    def _episode(self, episode: dict[str, Any]) -> None:
        if self._episodes_left is not None:
            if self._episodes_left == 0:
                return  # one more than was asked for, in the last roll-out
            self._episodes_left -= 1
        values = {"reward": float(episode["r"]), "episode_length": float(episode["l"])}
        self.metrics.write(self.model.num_timesteps, values)

    def _show(self, number: int) -> None:
        """Keeps the episode that has just ended in copy `number` of the environment, for who would look at it."""
        self._next_show = time.monotonic() + SHOW_SECONDS
        if told := self.training_env.env_method("finished", indices=number)[0]:
            self.folder.show({**told, "timesteps": self.model.num_timesteps})

    def close(self) -> None:
        """Closes what evaluations happened in."""
        if self._evaluation is not None:
            self._evaluation.close()

    def best_episode(self) -> list[bytes] | None:
        """The best one of the last evaluation, in a journal's records; None: it cannot be shown."""
        return self._evaluation.env_method("best")[0] if self._evaluation is not None and self._takes() else None

    def _takes(self) -> bool:
        return self._evaluation is not None and self._evaluation.env_is_wrapped(BestEpisode)[0]

    def evaluate(self) -> dict[str, Any]:
        """Plays `evaluation.episodes` episodes with the policy as it is; they are the same ones each time."""
        if self._evaluation is None:
            self._evaluation = self._make_evaluation()
        env = self._evaluation
        env.seed((self.plan.seed + 2**31) % 2**32)  # never those of the training
        if self._takes():
            env.env_method("forget")
        training = self.model.get_env()
        if training is not None and self.model.get_vec_normalize_env() is not None:
            sync_envs_normalization(training, env)
        rewards, lengths = _evaluator(self.model)(
            self.model,
            env,
            n_eval_episodes=self.plan.evaluation.episodes,
            deterministic=self.plan.evaluation.deterministic,
            return_episode_rewards=True,
            warn=False,
        )
        return {
            "mean_reward": float(numpy.mean(rewards)),
            "std_reward": float(numpy.std(rewards)),
            "min_reward": float(numpy.min(rewards)),
            "max_reward": float(numpy.max(rewards)),
            "mean_length": float(numpy.mean(lengths)),
            "episodes": len(rewards),
            "timesteps": self.model.num_timesteps,
        }


def _evaluator(model: Any) -> Callable[..., Any]:
    if type(model).__name__ == "MaskablePPO":
        from sb3_contrib.common.maskable.evaluation import evaluate_policy as masked
        from sb3_contrib.common.maskable.utils import is_masking_supported

        def evaluated(model: Any, env: Any, **more: Any) -> Any:
            return masked(model, env, use_masking=is_masking_supported(env), **more)

        return evaluated
    return evaluate_policy
