"""Model classes that import seldon_core, genuine or what stands in for it."""

import numpy as np

try:
    from seldon_core.flask_utils import SeldonMicroserviceException
    from seldon_core.metrics import create_counter, create_gauge, create_timer
    from seldon_core.user_model import SeldonComponent, SeldonResponse
except ModuleNotFoundError:  # collected by a test runner; the servers import this with one of the two in place
    SeldonComponent = object


class Inherits(SeldonComponent):
    """Has nothing but predict; everything else is the base class's."""

    def predict(self, X, names, meta=None):
        return SeldonResponse(
            data=np.asarray(X, dtype=float),
            tags={"run": "time"},
            metrics=[create_counter("runtime", 2), create_gauge("level", 0.5), create_timer("took", 3.5)],
        )


class Refuses(SeldonComponent):
    """Raises the error that carries a status."""

    def predict(self, X, names, meta=None):
        raise SeldonMicroserviceException("not today", status_code=422, reason="NOT_TODAY")
