"""One model being served: what every protocol shares."""

import logging
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.errors import NotReady, ServingError, TooLarge
from serving.microservice import metadata
from serving.microservice.board import Board
from serving.microservice.component import Component
from serving.microservice.metrics import Metrics
from serving.microservice.outcome import Outcome
from serving.settings import MicroserviceSettings

if TYPE_CHECKING:
    from serving.detector_model import Judged

_log = logging.getLogger("inlier.microservice")


class Service:
    """A component, the settings, and what is true of both.

    Parameters
    ----------
    user : object
        An instance of a model class, loaded.
    settings : MicroserviceSettings
        Limits and names.
    board : Board, optional
        Where workers count, if there are several.
    worker : int
        Which of them this is.
    """

    def __init__(self, user: Any, settings: MicroserviceSettings, board: Board | None = None, worker: int = 0) -> None:
        self.settings = settings
        self.component = Component(user)
        self.draining = False
        self.started = time.time()
        self._metadata = metadata.collect(self.component, settings)
        self.metrics = Metrics(board or Board(), worker, self._labels())

    def _labels(self) -> dict[str, str]:
        image, _, version = self.settings.image.rpartition(":")
        labels = {
            "deployment_name": self.settings.deployment,
            "predictor_name": self.settings.predictor,
            "model_name": self.name,
            "model_image": image,
            "model_version": version,
        }
        return {name: value for name, value in labels.items() if value}

    @property
    def name(self) -> str:
        """The model's name in the Open Inference Protocol."""
        return self.name_of(self.component)

    def name_of(self, component: Component) -> str:
        """`name`, of the component that a request began with."""
        return self.settings.unit_id or component.name

    @property
    def title(self) -> str:
        """What is served, for people."""
        user = self.component.user
        if not self.component.own:
            return type(user).__name__
        model = user.model
        names = ", ".join(model.feature_names[:6]) + (", ..." if len(model.feature_names) > 6 else "")
        return f"{model.title} ({len(model.feature_names)} features: {names}; {model.n_rows} rows, {model.trained_at})"

    @property
    def version(self) -> str:
        """The model's version."""
        return self.component.version

    def replace(self, user: Any) -> None:
        """Serve another model from the next request on; those under way finish with the one they began with.

        Parameters
        ----------
        user : object
            Loaded and warmed up.
        """
        component = Component(user)
        self._metadata = metadata.collect(component, self.settings)
        self.component = component

    def ready_component(self) -> Component:
        """The component, unless the service is about to stop."""
        if self.draining:
            raise NotReady("about to stop")
        return self.component

    def check_rows(self, payload: Any) -> None:
        """Refuse more rows than the limit."""
        listed = payload.ndim > 0 if isinstance(payload, np.ndarray) else isinstance(payload, list)
        if listed and len(payload) > self.settings.max_rows:
            raise TooLarge(f"{len(payload)} rows; at most {self.settings.max_rows} are answered at once")

    def count_reward(self, reward: float) -> None:
        """Count what a Feedback said."""
        counts = (("seldon_api_model_feedback", 1.0), ("seldon_api_model_feedback_reward", reward))
        self.metrics.custom([{"type": "COUNTER", "key": key, "value": value} for key, value in counts], "feedback")

    def count(self, route: str, status: int, seconds: float, outcome: Outcome | None) -> None:
        """Count a request that was answered."""
        self.metrics.request(route, status, seconds)
        if outcome is not None:
            self.count_outcome(route, outcome)

    def count_outcome(self, route: str, outcome: Outcome) -> None:
        """Count what a model gave."""
        self.metrics.outcome(outcome, route, outcome.rows, outcome.model)

    def render_metrics(self) -> bytes:
        """Metrics of all workers, with drift as it is now."""
        found: list[tuple[str, dict[str, str], float]] = [
            ("inlier_model_info", {"version": self.version, "title": self.title}, 1.0)
        ]
        if self.component.own:
            from serving.microservice import drift

            model = self.component.user.model
            recent = self.metrics.recent(len(model.feature_names), self.component.tag)
            found += drift.gauges(model, recent)
        return self.metrics.render(found)

    def explanation(self, component: Component, judged: "Judged") -> dict[str, Any]:
        """What each feature did to each row's score, for ``meta.tags``."""
        user = component.user
        return {"feature_names": user.feature_names(), "feature_contributions": user.explain(judged).tolist()}

    def metadata(self) -> dict[str, Any]:
        """What the model is, checked when it was loaded."""
        if self._metadata is None:
            error = ServingError("Model metadata unavailable")
            error.reason = "MICROSERVICE_BAD_METADATA"
            raise error
        return self._metadata
