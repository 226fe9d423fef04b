"""What is left behind when a step fails; the steps themselves are tested with each runtime."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from serving.deploy import manifest, rollout
from serving.deploy.calls import Proxy
from serving.deploy.runtime import Kind, Order
from serving.deploy.service import Service
from serving.errors import CallError, DeployError


@dataclass(frozen=True)
class Numbered:
    name: str
    version: int
    image: str = "shop/inne:1"
    urls: Mapping[Kind, str] = field(default_factory=dict)

    @classmethod
    def of(cls, version: int) -> "Numbered":
        return cls("inne", version, urls={"rest": f"http://127.0.0.1:{version}/predict"})


BEFORE = Numbered("before", 1, urls={"rest": "http://127.0.0.1:9/predict", "rpc": "grpc://127.0.0.1:8"})


class Failing:
    """A runtime in memory with version 1, whose step of a name fails."""

    name = "memory"
    reads_storage = True

    def __init__(self, step: str) -> None:
        self._step = step
        self.running = [Numbered.of(1)]

    def _reach(self, step: str) -> None:
        if step == self._step:
            raise DeployError(f"{step} failed")

    def check(self, order: Order) -> None:
        pass

    @contextmanager
    def locked(self) -> Iterator[None]:
        yield

    def versions(self) -> Sequence[Numbered]:
        return self.running

    def states(self) -> Mapping[str, str]:
        return {}

    def manifests(self, order: Order) -> Mapping[str, dict[str, object]]:
        return {"inne": {"version": 2}}

    def start(self, order: Order) -> Sequence[Numbered]:
        self._reach("start")
        self.running.append(Numbered.of(2))
        return [Numbered.of(2)]

    def keep(self, versions: Sequence[Any]) -> None:
        self._reach("keep")

    def undo(self, versions: Sequence[Any]) -> None:
        self.running = [each for each in self.running if each not in versions]

    def stop(self, versions: Sequence[Any]) -> None:
        self._reach("stop")
        self.undo(versions)


class Switched:
    """A proxy that takes every call, whose client gets version 1 of another microservice."""

    def __init__(self) -> None:
        self.variations: list[dict[str, Any]] = [{"label": "before", "url": BEFORE.urls["rest"]}]
        self.others: list[dict[str, Any]] = []

    def client(self, *parts: str) -> str:
        return "/".join(parts)

    def call(self, method: str, path: str, content: Any = None) -> dict[str, Any]:
        if method == "PUT":
            self.variations = content["variations"]
        clients = [{"name": "test", "variations": self.variations}, {"name": "other", "variations": self.others}]
        return {"variations": self.variations, "clients": clients}


class Mute(Switched):
    """The answers to the first so many switches get lost; these are in force nevertheless, or they are not."""

    def __init__(
        self, lost: int, error: BaseException | None = None, *, heard: bool = True, gone: bool = False
    ) -> None:
        super().__init__()
        self.lost = lost
        self._error = error or CallError("no proxy answers")
        self._heard, self._gone = heard, gone

    def call(self, method: str, path: str, content: Any = None) -> dict[str, Any]:
        if path == "test/variations" and method == "GET" and self._gone:
            raise CallError("no proxy answers")
        if method != "PUT" or not self.lost:
            return super().call(method, path, content)
        self.lost -= 1
        if self._heard:
            super().call(method, path, content)
        raise self._error


ORDER = Order([Service("inne", "shop/inne:2", None, "rest", 1.0, "shop/inne:2")])


def deploy(step: str, folder: Path) -> tuple[Failing, Switched]:
    runtime, proxy = Failing(step), Switched()
    manifest.write(folder, "inne", {"version": 1})
    with pytest.raises(DeployError, match=f"{step} failed"):
        rollout.deploy(runtime, cast("Proxy", proxy), "test", ORDER, folder, lambda line: None)
    return runtime, proxy


@pytest.mark.parametrize("step", ["start", "keep"])
def test_before_the_switch_all_is_as_it_was(step: str, tmp_path: Path) -> None:
    runtime, proxy = deploy(step, tmp_path)
    assert (runtime.running, proxy.variations) == ([Numbered.of(1)], Switched().variations)
    assert '"version": 1' in manifest.path_of(tmp_path, "inne").read_text()


def test_after_the_switch_the_manifest_is_what_the_client_uses(tmp_path: Path) -> None:
    _, proxy = deploy("stop", tmp_path)
    assert [each["url"] for each in proxy.variations] == ["http://127.0.0.1:2/predict"]
    assert '"version": 2' in manifest.path_of(tmp_path, "inne").read_text()


def test_a_switch_whose_answer_got_lost_is_asked_for_again(tmp_path: Path) -> None:
    runtime, proxy = Failing(""), Mute(lost=1)
    rollout.deploy(runtime, cast("Proxy", proxy), "test", ORDER, tmp_path, lambda line: None)
    assert runtime.running == [Numbered.of(2)]
    assert [each["url"] for each in proxy.variations] == ["http://127.0.0.1:2/predict"]


def test_a_switch_that_is_in_force_without_an_answer_is_one(tmp_path: Path) -> None:
    runtime, proxy = Failing(""), Mute(lost=2)
    rollout.deploy(runtime, cast("Proxy", proxy), "test", ORDER, tmp_path, lambda line: None)
    assert runtime.running == [Numbered.of(2)]
    assert '"version": 2' in manifest.path_of(tmp_path, "inne").read_text()


@pytest.mark.parametrize("error", [CallError("no proxy answers"), KeyboardInterrupt()])
def test_a_switch_that_is_not_in_force_leaves_what_ran(tmp_path: Path, error: BaseException) -> None:
    runtime = Failing("")
    with pytest.raises(type(error)):
        rollout.deploy(runtime, cast("Proxy", Mute(2, error, heard=False)), "test", ORDER, tmp_path, lambda line: None)
    assert runtime.running == [Numbered.of(1)]
    assert not manifest.path_of(tmp_path, "inne").exists()


@pytest.mark.parametrize("proxy", [Mute(2, gone=True), Mute(1, KeyboardInterrupt())])
def test_nothing_is_taken_back_when_the_client_may_use_it(tmp_path: Path, proxy: Mute) -> None:
    runtime = Failing("")
    with pytest.raises(CallError, match="may use inne version 2 already, so old and new run on"):
        rollout.deploy(runtime, cast("Proxy", proxy), "test", ORDER, tmp_path, lambda line: None)
    assert runtime.running == [Numbered.of(1), Numbered.of(2)]
    assert '"version": 2' in manifest.path_of(tmp_path, "inne").read_text()


@pytest.mark.parametrize("used", [False, True])
def test_what_no_client_gets_any_more_is_told(tmp_path: Path, used: bool) -> None:
    runtime, proxy, told = Failing(""), Switched(), []
    runtime.running += [BEFORE, Numbered("never", 1, urls={"rest": "http://127.0.0.1:7/predict"})]
    if used:
        proxy.others = [{"label": "x", "url": BEFORE.urls["rpc"]}]
    rollout.deploy(runtime, cast("Proxy", proxy), "test", ORDER, tmp_path, told.append)
    left_over = [line for line in told if "--remove" in line]
    said = "before: runs on without a client; start-microservice --remove before stops it"
    assert left_over == ([] if used else [said])
