"""How a roll-out is getting on, and why it is not: what the objects of a cluster say, read as a person would.

Pure functions of the objects' JSON; the rules of ``progress`` are those of ``kubectl rollout status``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]

NOT_PULLED = {"ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError", "RegistryUnavailable"}
PULL_FAILED = "ErrImagePull"
NOT_MADE = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
CRASHES = "CrashLoopBackOff"
REVISION = "deployment.kubernetes.io/revision"
HASH = "pod-template-hash"


@dataclass(frozen=True)
class Progress:
    """How far a roll-out is; ``failure`` says why it will not get further."""

    done: bool
    line: str
    failure: str | None = None


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a pod.

    Attributes
    ----------
    text : str
        In one line.
    final : bool
        Whether there is no sense in waiting any longer.
    crashed : tuple of str, str and bool, optional
        The pod and container whose log says more, and whether that is the log of its run before.
    """

    text: str
    final: bool
    crashed: tuple[str, str, bool] | None = None


def conditions(found: Object) -> dict[str, Object]:
    """Return the conditions of an object's status, by type."""
    return {each["type"]: each for each in (found.get("status") or {}).get("conditions") or ()}


def of_deployment(found: Object) -> Progress:
    """Return how the roll-out of a Deployment is getting on."""
    spec, status = found["spec"], found.get("status") or {}
    wanted, known = spec.get("replicas", 1), conditions(found)
    if found["metadata"].get("generation", 0) > status.get("observedGeneration", 0):
        return Progress(False, "the cluster has not looked at it yet")
    refused = known.get("ReplicaFailure", {})
    if refused.get("status") == "True":
        return Progress(False, "", f"its pods are refused: {refused.get('message', refused.get('reason'))}")
    new, every, ready = (status.get(name, 0) for name in ("updatedReplicas", "replicas", "availableReplicas"))
    old = every - new  # they are ready, too, and count as such
    line = f"{new} of {wanted} replicas new, {max(0, ready - old)} ready" + (f", {old} old" if old > 0 else "")
    if known.get("Progressing", {}).get("reason") == "ProgressDeadlineExceeded":
        return Progress(False, line, "it did not get ready in time")
    return Progress(new >= wanted and old <= 0 and ready >= new, line)


def of_seldon_deployment(found: Object) -> Progress:
    """Return how a SeldonDeployment is getting on."""
    status = found.get("status") or {}
    if found["metadata"].get("generation", 0) > status.get(
        "observedGeneration", found["metadata"].get("generation", 0)
    ):
        return Progress(False, "Seldon Core has not looked at it yet")
    state = status.get("state", "")
    failure = status.get("description") or "Seldon Core says Failed"
    return Progress(state == "Available", state or "waiting for Seldon Core", failure if state == "Failed" else None)


def of_inference_service(found: Object) -> Progress:
    """Return how an InferenceService is getting on."""
    status = found.get("status") or {}
    if found["metadata"].get("generation", 0) > status.get("observedGeneration", 0):
        return Progress(False, "KServe has not looked at it yet")
    ready = conditions(found).get("Ready", {})
    line = ready.get("message") or ready.get("reason") or "waiting for KServe"
    return Progress(ready.get("status") == "True", "ready" if ready.get("status") == "True" else line)


PROGRESS = {
    "Deployment": of_deployment,
    "SeldonDeployment": of_seldon_deployment,
    "InferenceService": of_inference_service,
}


def of_new_version(deployment: Object, replica_sets: Iterable[Object], pods: Iterable[Object]) -> list[Object]:
    """Return those pods that are of a Deployment's newest revision, by the hash in their labels."""
    revision = (deployment["metadata"].get("annotations") or {}).get(REVISION)
    hashes = {
        (each["metadata"].get("labels") or {}).get(HASH)
        for each in replica_sets
        if revision is not None and (each["metadata"].get("annotations") or {}).get(REVISION) == revision
    }
    if not hashes:
        return []
    return [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(HASH) in hashes]


def of_pods(pods: Iterable[Object]) -> Trouble | None:
    """Return what is wrong with pods: first what will not get better."""
    found = [trouble for pod in pods if (trouble := _of_pod(pod)) is not None]
    return next((trouble for trouble in found if trouble.final), found[0] if found else None)


def clearer(now: Trouble | None, before: Trouble | None) -> Trouble | None:
    """Return what is wrong now, in the words of before where those were of the pull that failed.

    While a node waits before it pulls again, an older one only says that it waits.
    """
    if now and before and now.final and "ImagePullBackOff" in now.text and PULL_FAILED in before.text:
        return Trouble(before.text, final=True)
    return now


def _of_pod(pod: Object) -> Trouble | None:
    if pod["metadata"].get("deletionTimestamp"):
        return None
    status = pod.get("status") or {}
    for container in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        trouble = _of_container(pod["metadata"]["name"], container)
        if trouble is not None:
            return trouble
    scheduled = conditions(pod).get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return Trouble(f"no node takes it: {scheduled.get('message') or scheduled.get('reason')}", final=False)
    return None


def _of_container(pod: str, container: Object) -> Trouble | None:
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), " ".join((waiting.get("message") or "").split())
    if reason == PULL_FAILED or reason in NOT_PULLED:
        said = f": {message}" if message else ""
        return Trouble(f"the image {container['image']} is not pulled: {reason}{said}", final=reason in NOT_PULLED)
    if reason in NOT_MADE:
        return Trouble(f"the container cannot be started: {reason}: {message}", final=True)
    ended_now = (container.get("state") or {}).get("terminated") or {}
    ended = ended_now or (container.get("lastState") or {}).get("terminated") or {}
    again = reason == CRASHES or (ended_now and container.get("restartCount", 0) > 0)  # once it may be bad luck
    if again and ended.get("exitCode") is not None:
        why = f"{ended.get('reason', 'Error')}, status {ended['exitCode']}"
        said = f"the container {container['name']} ends while it is starting ({why})"
        return Trouble(said, final=True, crashed=(pod, container["name"], not ended_now))
    return None
