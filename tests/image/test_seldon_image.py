"""The image with the genuine wrapper: the same model, the same answer."""

import json

import pytest

from tests.image.builder import Builder
from tests.image.containers import SEED_ROW, ask, config_of, is_healthy, microservice, predict

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("image")]


def test_the_wrapper_answers_what_ours_does(builder: Builder, inne: str) -> None:
    image = builder.image("inlier-test/seldon:default", target="seldon")
    with microservice(builder, inne) as (_, ports):
        expected = predict(ports["HTTP"], SEED_ROW)
    with microservice(builder, image, "--tmpfs", "/tmp") as (name, ports):
        assert predict(ports["HTTP"], SEED_ROW)[0] == pytest.approx(expected[0], rel=1e-12)
        assert json.loads(ask(ports["HTTP"], "/metadata")[1])["name"] == "model_inne"
        version = "import seldon_core, sys; print(seldon_core.__version__, *sys.version_info[:2])"
        assert builder("exec", name, "python", "-c", version).split() == ["1.17.1", "3", "11"]
        assert builder("exec", name, "id", "-u").strip() == "10001"
        assert is_healthy(builder, name)
        assert "in memory only" not in builder("logs", name), "a kernel was compiled again at run time"
    assert config_of(builder, image)["User"] == "10001:10001"
