import math

import pytest

from serving.deploy.service import check, from_image
from serving.errors import DeployError
from serving.settings import DeploySettings

SETTINGS = DeploySettings()


def image(name="inne", ratio=1.0, kind="rest", image="seldonio/simulation_inne:1.0.1"):
    return from_image(name, image, kind, ratio, SETTINGS)


def test_the_seeds_image_is_ours():
    service = image()
    assert (service.image, service.asked, service.substituted) == (
        "inlier/inne:0.1.0",
        "seldonio/simulation_inne:1.0.1",
        True,
    )
    assert not image(image="me/mine:1").substituted


@pytest.mark.parametrize("ratios", [[1.0], [0.7, 0.2, 0.1], [1 / 3] * 3, [0.1] * 10, [1.0, 0.0]])
def test_ratios_that_add_up_to_a_person(ratios):
    check([image(f"s{number}", ratio) for number, ratio in enumerate(ratios)])


@pytest.mark.parametrize(
    ("services", "message"),
    [
        ([], "nothing to start"),
        ([image(ratio=0.9)], "add up to 0.9, not to 1"),
        ([image("a", 0.5), image("b", 0.6)], "0.5, 0.6 add up to 1.1"),
        ([image("a", -1), image("b", 2)], "-1 is not between 0 and 1"),
        ([image(ratio=math.nan)], "nan is not between"),
        ([image("a", 0.5), image("a", 0.5)], "two microservices are named 'a'"),
        ([image("A")], "'A'"),
        ([image("a.b")], "'a.b'"),
        ([image("-a")], "'-a'"),
        ([image("a" * 64)], "at most 63"),
        ([image("")], "''"),
        ([image("a\n")], "a-z"),
        ([image("../x")], "a-z"),
        ([image(image="")], "is no image"),
        ([image(image="two words")], "'two words' is no image"),
        ([image(image="--privileged")], "is no image"),
    ],
)
def test_what_cannot_be_started_is_one_clear_line(services, message):
    with pytest.raises(DeployError) as error:
        check(services)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
