"""The training callback: metrics, evaluations, checkpoints, and requests that arrive as signals."""

import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import numpy
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import KVWriter, TensorBoardOutputFormat
from stable_baselines3.common.vec_env import VecEnv, sync_envs_normalization

from gymserve.protocol.wire import JSONObject
from gymserve.training.plan.training_plan import TrainingPlan
from gymserve.training.runners import checkpoint
from gymserve.training.runners.best_episode import BestEpisode
from gymserve.training.runners.folder import Folder, MetricsFile

PAUSE_SIGNAL = signal.SIGUSR1
CHECKPOINT_SECONDS = 60.0  # between checkpoints, or a hundred times what one takes
SHOW_SECONDS = 1.0  # between episodes saved for viewers
UNKEPT = "time/"  # prefix of the library's values that say nothing about learning
SPEED = "time/fps"


class Paused(Exception):
    """Ends `learn` at the start of a rollout, when everything is in a checkpoint."""


class Stopped(Exception):
    """Ends `learn` at the start of a rollout, or where it ignores a callback's return value."""


class Interrupts:
    """Requests received as signals: SIGINT stops, SIGUSR1 pauses."""

    def __init__(self) -> None:
        self.stop = self.pause = False
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(PAUSE_SIGNAL, self._pause)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stop = True

    def _pause(self, number: int, frame: FrameType | None) -> None:
        self.pause = True


class MetricsWriter(KVWriter):
    """Writes the library's own values to the metrics file."""

    def __init__(self, metrics: MetricsFile) -> None:
        self.metrics = metrics

    def write(self, key_values: Mapping[str, object], key_excluded: Mapping[str, object], step: int = 0) -> None:
        values = {
            name: float(value)
            for name, value in key_values.items()
            if isinstance(value, (int, float, numpy.number)) and (not name.startswith(UNKEPT) or name == SPEED)
        }
        if values:
            self.metrics.write(step, values)

    def close(self) -> None:
        self.metrics.flush()


class TensorBoard(TensorBoardOutputFormat):
    """TensorBoard files; what an interrupted run wrote after `since` is not shown twice."""

    def __init__(self, folder: Path, *, since: int | None) -> None:
        super().__init__(str(folder))
        if since is not None:
            self.writer.close()
            self.writer = type(self.writer)(log_dir=str(folder), purge_step=since + 1)


class TrainingCallback(BaseCallback):
    """The training callback of one run.

    Args:
        evaluation: makes the evaluation environment when it is first needed.
        restored: the checkpoint from which the run resumes, or None.
    """

    def __init__(
        self,
        plan: TrainingPlan,
        folder: Folder,
        metrics: MetricsFile,
        interrupts: Interrupts,
        *,
        evaluation: Callable[[], VecEnv],
        restored: checkpoint.Restored | None,
    ) -> None:
        super().__init__()
        self.plan, self.folder, self.metrics, self.interrupts = plan, folder, metrics, interrupts
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
        if self._episodes_left == 0:  # checked here, so that every collected step is trained on
            raise Stopped
        steps = self.model.num_timesteps
        if self.plan.evaluation.every and steps >= self._next_evaluation:
            self._next_evaluation = steps + self.plan.evaluation.every
            evaluation = self.evaluate()
            self.metrics.write(
                steps,
                {
                    "evaluation/mean_reward": evaluation["mean_reward"],
                    "evaluation/std_reward": evaluation["std_reward"],
                },
            )
        if self.interrupts.pause or self._due(steps):
            self._keep(steps)
            if self.interrupts.pause:
                raise Paused
        else:
            self._flush_sometimes()

    def _due(self, steps: int) -> bool:
        """Return whether a checkpoint is due: every so many timesteps, or rarely enough to cost little."""
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

    def _flush_sometimes(self) -> None:
        if time.monotonic() - self.metrics._flushed > 1.0:
            self.metrics.flush()

    def _on_step(self) -> bool:
        if "infos" not in self.locals:  # ARS passes no infos and ignores the return value
            if self.interrupts.stop:
                raise Stopped
            return True
        for number, info in enumerate(self.locals["infos"]):
            if "episode" in info:
                self._episode(info["episode"])
                if self.plan.show and time.monotonic() >= self._next_show:
                    self._show(number)
        return not self.interrupts.stop

    def _on_rollout_end(self) -> None:
        if "infos" not in self.locals:
            for episode in self.model.ep_info_buffer or ():
                self._episode(episode)

    def _episode(self, episode: JSONObject) -> None:
        if self._episodes_left is not None:
            if self._episodes_left == 0:
                return  # beyond total_episodes, in the last rollout
            self._episodes_left -= 1
        values = {"reward": float(episode["r"]), "episode_length": float(episode["l"])}
        self.metrics.write(self.model.num_timesteps, values)

    def _show(self, number: int) -> None:
        """Save the episode that has just ended in copy `number` of the environment for viewers."""
        self._next_show = time.monotonic() + SHOW_SECONDS
        if episode := self.training_env.env_method("finished", indices=number)[0]:
            self.folder.show({**episode, "timesteps": self.model.num_timesteps})

    def close(self) -> None:
        """Close the evaluation environment."""
        if self._evaluation is not None:
            self._evaluation.close()

    def best_episode(self) -> list[bytes] | None:
        """Return the last evaluation's best episode as journal records; None if it cannot be recorded."""
        return self._evaluation.env_method("best")[0] if self._evaluation is not None and self._records_best() else None

    def _records_best(self) -> bool:
        return self._evaluation is not None and self._evaluation.env_is_wrapped(BestEpisode)[0]

    def evaluate(self) -> JSONObject:
        """Play `evaluation.episodes` episodes with the current policy, always with the same seeds."""
        if self._evaluation is None:
            self._evaluation = self._make_evaluation()
        env = self._evaluation
        env.seed((self.plan.seed + 2**31) % 2**32)  # never a training seed
        if self._records_best():
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


def _evaluator(model: object) -> Callable[..., Any]:  # Any: the two libraries' functions differ in their parameters
    if type(model).__name__ == "MaskablePPO":
        from sb3_contrib.common.maskable.evaluation import evaluate_policy as masked
        from sb3_contrib.common.maskable.utils import is_masking_supported

        def evaluated(model: Any, env: VecEnv, **more: Any) -> object:  # Any: passed on
            return masked(model, env, use_masking=is_masking_supported(env), **more)

        return evaluated
    return evaluate_policy
