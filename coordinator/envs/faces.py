"""Firms for other people's algorithms: a PettingZoo env of departments, Gymnasium envs of the firm as one agent.

An episode is cut off by time (`truncated`), never ended: a learner has to bootstrap there. One copy of the firm each;
`FirmVectorEnv` steps many together and is far faster. Needs the extra `envs`.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Protocol, Unpack, get_args

import numpy as np
import torch
from numpy.typing import NDArray

try:
    import gymnasium
    from gymnasium import spaces
    from gymnasium.utils import EzPickle
    from gymnasium.vector import AutoresetMode
    from pettingzoo import ParallelEnv
except ModuleNotFoundError as missing:
    raise ImportError(
        f"coordinator.envs needs {missing.name}, which is not installed: pip install 'firmwide[envs]'"
    ) from missing

from coordinator.envs.core import Array, FirmCore, GameSettings, choose
from coordinator.schemes.rewards import reward_weights
from departments.decisions import Decision, Memory, Policy
from departments.policies.policy import RECOMMENDATION
from environment import Feedback, Firm, State, World

Recording = Literal["own", "downstream", "everything", "pipeline", "replenishment"]
SeenByOne = Literal["everything", "pipeline"]
Paid = Literal["own", "downstream", "network"]
REWARD_SCALE = 1e-3  # rewards are money times this ([I]: reward = -cost / 1000)
_SEED = 2**62


def _box(low: float, high: float, *shape: int) -> Any:  # noqa: ANN401 - its type differs between versions of gymnasium
    return spaces.Box(low, high, shape, np.float32)


class _Seat(NamedTuple):
    """One agent's place in the game."""

    rows: NDArray[np.int64]  # of the features
    action: slice  # of the game's action
    weight: NDArray[np.float64]  # [N] of each stock point's cost in its reward


class FirmParallelEnv(ParallelEnv, EzPickle):  # type: ignore[misc]
    """The departments of a firm as agents: one per stock point, and `recommendation` where customers choose.

    What an agent sees and how it is paid is as for our own departments; the recommendation department is always paid
    the firm's profit. `state()` is all there is to see, for a centralized critic.
    """

    metadata: dict[str, Any] = {"name": "firm", "render_modes": []}  # noqa: RUF012
    render_mode = None

    def __init__(
        self,
        firm: Firm | str = "a1",
        *,
        observation: Recording | None = None,
        reward: Paid | None = None,
        reward_scale: float = REWARD_SCALE,
        **settings: Unpack[GameSettings],
    ) -> None:
        """Prepare a firm.

        Args:
            firm: a checked firm, the name of a built-in one, or a firm file.
            observation: what stock points see; by default `downstream` ([I]), with customers `replenishment` ([M]).
            reward: whose costs a stock point pays; by default `downstream` ([I]), with customers `network` ([M]).
            reward_scale: rewards are money times this.
            settings: `form`, `scaling` and `periods`; see `FirmCore`.

        Raises:
            ValueError: one line that names the argument, what is allowed and what came.
        """
        EzPickle.__init__(self, firm, observation=observation, reward=reward, reward_scale=reward_scale, **settings)
        self.game = FirmCore(firm, **settings)
        customers, names = bool(self.game.firm.customers), self.game.firm.names
        seen: Recording = observation or ("replenishment" if customers else "downstream")
        paid: Paid = reward or ("network" if customers else "downstream")
        choose("observation", seen, get_args(Recording))
        choose("reward", paid, get_args(Paid))
        if seen == "replenishment" and not customers:
            raise ValueError(
                f"observation 'replenishment' is for firms with customers, and {self.game.firm.name} has none; "
                "use own, downstream, everything or pipeline"
            )
        self._seats = _seats(self.game, seen, paid)
        self._scale = reward_scale
        self._positions_only = max(int(seat.rows.max()) for seat in self._seats.values()) < self.game.observer.positions
        self.possible_agents = [*names, RECOMMENDATION] if customers else [*names]
        self.agents: list[str] = []
        self.observation_spaces = {name: _box(-np.inf, np.inf, len(seat.rows)) for name, seat in self._seats.items()}
        self.action_spaces = {
            name: _box(-1.0, 1.0, seat.action.stop - seat.action.start) for name, seat in self._seats.items()
        }
        self._rng = np.random.default_rng()

    def observation_space(self, agent: str) -> spaces.Box:
        """What an agent sees: [features], scaled; not bounded, as backlogs are not."""
        space: spaces.Box = self.observation_spaces[agent]
        return space

    def action_space(self, agent: str) -> spaces.Box:
        """What an agent decides: [K] orders, or of `recommendation` [S * K] exposures."""
        space: spaces.Box = self.action_spaces[agent]
        return space

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Array], dict[str, dict[str, Any]]]:
        """Begin an episode; `seed` starts the stream that this and all following episodes are drawn from."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.game.begin(int(self._rng.integers(_SEED)))
        self.agents = list(self.possible_agents)
        return self._observations(), {name: {} for name in self.agents}

    def step(
        self, actions: dict[str, Array]
    ) -> tuple[dict[str, Array], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Everyone decides on a period at once.

        Args:
            actions: of every agent, in its action space.

        Returns:
            Observations, rewards, terminated, truncated and infos by agent; `info["cost"]` is the firm's cost of the
            period in money, negative where it earns.

        Raises:
            ValueError: an agent's action is missing or of another shape, or not a finite number.
        """
        everyone = self.agents
        action = np.empty((self.game.orders + self.game.exposures, 1), dtype=np.float32)
        for name in everyone:
            if name not in actions:
                raise ValueError(f"actions must hold one for each of {', '.join(everyone)}, got none for {name}")
            own = np.asarray(actions[name], dtype=np.float32)
            if own.shape != self.action_spaces[name].shape:
                raise ValueError(
                    f"action of {name} must have the shape {self.action_spaces[name].shape}, got {own.shape}"
                )
            action[self._seats[name].action, 0] = own
        cost = self.game.step(action)[:, 0]
        over, total = self.game.over, float(cost.sum())
        rewards = {name: -self._scale * float(self._seats[name].weight @ cost) for name in everyone}
        if over:
            self.agents = []
        return (
            self._observations(),
            rewards,
            dict.fromkeys(everyone, False),
            dict.fromkeys(everyone, over),
            {name: {"cost": total} for name in everyone},
        )

    def state(self) -> Array:
        """All features there are, [G] scaled."""
        return self.game.features()[:, 0]

    def render(self) -> None:
        """There is nothing to render."""

    def _observations(self) -> dict[str, Array]:
        features = self.game.features(self._positions_only)[:, 0]
        return {name: features[seat.rows] for name, seat in self._seats.items()}


def _seats(game: FirmCore, seen: Recording, paid: Paid) -> dict[str, _Seat]:
    weights, products = reward_weights(game.world.network, paid).astype(np.float64), game.world.products
    seats = {
        name: _Seat(
            np.array(game.observer.rows(seen, point)), slice(point * products, (point + 1) * products), weights[point]
        )
        for point, name in enumerate(game.firm.names)
    }
    if game.firm.customers:
        rows = np.array(game.observer.rows("recommendation", 0))
        exposures = slice(game.orders, game.orders + game.exposures)
        seats[RECOMMENDATION] = _Seat(rows, exposures, np.ones(game.world.points))
    return seats


def _one_agent(game: FirmCore, observation: SeenByOne) -> int:
    """How many features the one agent of a whole firm sees: all positions, or all there is (always with customers)."""
    choose("observation", observation, get_args(SeenByOne))
    everything = observation == "pipeline" or bool(game.firm.customers)
    return game.observer.size if everything else game.observer.positions


class FirmEnv(gymnasium.Env[Array, Array], EzPickle):
    """A whole firm as one agent: it sees all positions, or all there is, decides everything and is paid everything."""

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(
        self,
        firm: Firm | str = "a1",
        *,
        observation: SeenByOne = "everything",
        reward_scale: float = REWARD_SCALE,
        **settings: Unpack[GameSettings],
    ) -> None:
        """Prepare a firm; see `FirmParallelEnv`.

        Here the observation `everything` is all positions, `pipeline` all there is, as always in a firm with customers.
        """
        EzPickle.__init__(self, firm, observation=observation, reward_scale=reward_scale, **settings)
        self.game = FirmCore(firm, **settings)
        self._seen, self._scale = _one_agent(self.game, observation), reward_scale
        self.observation_space = _box(-np.inf, np.inf, self._seen)
        self.action_space = _box(-1.0, 1.0, self.game.orders + self.game.exposures)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Begin an episode; `seed` starts the stream that this and all following episodes are drawn from."""
        super().reset(seed=seed)
        self.game.begin(int(self.np_random.integers(_SEED)))
        return self._observation(), {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Decide on a period; `info["cost"]` is its cost in money, negative where the firm earns."""
        cost = float(self.game.step(np.asarray(action)[..., None]).sum())
        return self._observation(), -self._scale * cost, False, self.game.over, {"cost": cost}

    def policy(self, model: Predicts) -> Policy:
        """A trained model as a policy that `firmwide.evaluate` plays beside others, on what this env shows and means.

        Args:
            model: with stable-baselines3's `predict(observations [E, G], deterministic=True)`: actions [E, A] first.
        """
        return _Predicted(self.game, self._seen, model)

    def _observation(self) -> Array:
        return self.game.features(self._seen == self.game.observer.positions)[:, 0]


class Predicts(Protocol):
    """What can be asked for actions, as models of stable-baselines3 can."""

    def predict(self, observation: Array, *, deterministic: bool) -> tuple[Array, Any]:
        """Actions [E, A] on observations [E, G], and what else there is."""


class _Predicted:
    """A model that decides for the whole firm."""

    def __init__(self, game: FirmCore, seen: int, model: Predicts) -> None:
        self._game, self._seen, self._model = game, seen, model
        self._observer = game.observer.until(game.firm.periods.evaluate - 1)

    def decide(self, world: World, state: State, feedback: Feedback | None, period: int, memory: Memory) -> Decision:
        look = self._observer
        every = self._seen > look.positions
        features = look.all_features(state, feedback, period) if every else look.features(state)
        action, _ = self._model.predict(np.ascontiguousarray(features.numpy().T), deterministic=True)
        wanted = (features.shape[1], self._game.orders + self._game.exposures)
        if np.shape(action) != wanted:
            raise ValueError(f"the model was asked for actions of the shape {wanted}, got {np.shape(action)}")
        return self._game.decision(torch.from_numpy(np.asarray(action, dtype=np.float32).T), state)


class FirmVectorEnv(gymnasium.vector.VectorEnv[Array, Array, Array]):
    """`num_envs` copies of `FirmEnv`, stepped as one batch; all are cut off and begin again together.

    By default in the same step: the first observation of the new episode comes with the last reward of the old one,
    whose last observation is in `info["final_obs"]`. With Gymnasium's `AutoresetMode.NEXT_STEP` the next step begins
    the new episode, whatever the actions, and is paid nothing.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(
        self,
        firm: Firm | str = "a1",
        num_envs: int = 256,
        *,
        observation: SeenByOne = "everything",
        reward_scale: float = REWARD_SCALE,
        autoreset: AutoresetMode = AutoresetMode.SAME_STEP,
        **settings: Unpack[GameSettings],
    ) -> None:
        """Prepare `num_envs` copies of a firm; see `FirmEnv`.

        Raises:
            ValueError: one line; an argument is out of range, or copies were to begin again by hand.
        """
        if autoreset not in (AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP):
            raise ValueError(f"autoreset must be SAME_STEP or NEXT_STEP of AutoresetMode, got {autoreset!r}")
        self.metadata = {**self.metadata, "autoreset_mode": autoreset}
        self._waits, self._ended = autoreset is AutoresetMode.NEXT_STEP, False
        self.game = FirmCore(firm, copies=num_envs, **settings)
        self._seen, self._scale, self.num_envs = _one_agent(self.game, observation), reward_scale, num_envs
        self.single_observation_space = _box(-np.inf, np.inf, self._seen)
        self.single_action_space = _box(-1.0, 1.0, self.game.orders + self.game.exposures)
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, num_envs)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Begin an episode of every copy; one `seed` starts the stream that all of them are drawn from.

        Raises:
            ValueError: a seed per copy, which copies that are drawn together cannot have.
        """
        if isinstance(seed, list):
            raise ValueError(f"seed must be one whole number for all copies, got {len(seed)} of them")
        super().reset(seed=seed)
        return self._begin(), {}

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Decide on a period of every copy, [E, actions]; `info["cost"]` is each one's cost in money, [E]."""
        begins = self._ended and self._waits
        cost = np.zeros(self.num_envs) if begins else self.game.step(np.asarray(actions).T).sum(0)
        info: dict[str, Any] = {"cost": cost, "_cost": np.ones(self.num_envs, dtype=bool)}
        observation = self._begin() if begins else self._observation()
        over, self._ended = np.full(self.num_envs, self.game.over), self.game.over
        if self._ended and not self._waits:
            info |= {"final_obs": observation, "_final_obs": over}
            observation = self._begin()
        return observation, (-self._scale * cost).astype(np.float32), np.zeros_like(over), over, info

    def _begin(self) -> Array:
        self.game.begin(int(self.np_random.integers(_SEED)))
        self._ended = False
        return self._observation()

    def _observation(self) -> Array:
        features = self.game.features(self._seen == self.game.observer.positions)
        return np.ascontiguousarray(features.T)
