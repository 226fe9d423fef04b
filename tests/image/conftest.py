"""Images that several tests run: built once."""

import pytest

from tests.image.builder import Builder, find_builder


@pytest.fixture(scope="session")
def builder() -> Builder:
    return find_builder()


@pytest.fixture(scope="session")
def inne(builder: Builder) -> str:
    """The microservice of the demo: what the Dockerfile builds when nobody says anything."""
    return builder.image("inlier-test/inne:default", target="microservice")


@pytest.fixture(scope="session")
def stock(builder: Builder) -> str:
    return builder.image("inlier-test/microservice:stock", target="stock")
