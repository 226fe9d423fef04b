"""The runtime ``kubernetes``: microservices as Deployments and Services, SeldonDeployments or InferenceServices.

The cluster replaces a microservice's pods in place, at the same address, so a version here is what its Deployment wants
now. What a failed roll-out changed is applied again as it was before; otherwise the broken version would be what the
cluster goes on trying, and what a node that is drained starts anew. How many replicas there are stays an autoscaler's
business where it was, unless a person says so.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from serving.deploy import diagnosis, formats, lease, manifest
from serving.deploy.cluster import Cluster, Object
from serving.deploy.diagnosis import Progress
from serving.deploy.formats import FORMATS, Format
from serving.deploy.manifest import ASKED, LABELS, Manifest
from serving.deploy.runtime import Kind, Order, Say, Version
from serving.deploy.service import Service
from serving.errors import ClusterError, DeployError
from serving.settings import DeploySettings

POLL_SECONDS = 0.5
NOT_WANTED = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink")
OF_CONTROLLERS = ("deployment.kubernetes.io/", "kubectl.kubernetes.io/last-applied")
OF_ADDRESSES = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")


@dataclass(frozen=True)
class OnCluster:
    """A microservice as the cluster has it."""

    name: str
    version: int
    image: str
    urls: Mapping[Kind, str]
    form: Format
    state: str = ""


@dataclass
class Applied:
    """An object that was applied, and what was there before; None if nothing was."""

    wanted: Manifest
    before: Object | None
    now: Object = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether anything had to change."""
        return self.before is None or self.before["metadata"].get("generation", self.before.get("spec")) != self.now[
            "metadata"
        ].get("generation", self.now.get("spec"))


class KubernetesRuntime:
    """Applies manifests to a cluster's namespace.

    Parameters
    ----------
    cluster : Cluster
        Where.
    form : str
        What a microservice is there; see ``formats``.
    settings : DeploySettings
        How long things may take.
    say : callable
        Takes a line for the person who waits.
    """

    name = "kubernetes"
    reads_storage = True

    def __init__(self, cluster: Cluster, form: Format, settings: DeploySettings, say: Say) -> None:
        self._cluster = cluster
        self._form = form
        self._settings = settings
        self._say = say
        self._applied: dict[str, list[Applied]] = {}
        self._lease: lease.Lease | None = None

    def check(self, order: Order) -> None:
        """Refuse names that are taken by what is not Inlier's, and what the cluster has no kind for."""
        facts = FORMATS[self._form]
        for service in order.services:
            formats.check(self._form, service)
        if self._form != "deployment" and not self._cluster.serves(facts.api_version):
            raise DeployError(
                f"the cluster does not know {facts.kind} ({facts.api_version}): is its operator installed?"
            )
        for name, content in self.manifests(order).items():
            for item in content["items"]:
                found = self._cluster.get(item["apiVersion"], item["kind"], name)
                if found is not None and not _is_ours(found):
                    raise DeployError(
                        f"{name}: the {item['kind']} {name} of the namespace {self._settings.namespace} is not "
                        "Inlier's; take another name"
                    )
        self._check_forms(order)
        self._check_reader(order)

    def _check_forms(self, order: Order) -> None:
        names = {service.name for service in order.services}
        for version in self.versions():
            if version.name in names and version.form != self._form:
                raise DeployError(
                    f"{version.name} is a {FORMATS[version.form].kind}; remove it first, or say --format {version.form}"
                )

    def _check_reader(self, order: Order) -> None:
        """Refuse model files where nothing could fetch them."""
        if any(service.file for service in order.services):
            try:
                found = self._cluster.get("v1", "Secret", manifest.READER)
            except ClusterError as error:
                if error.status != 403:
                    raise
                return  # whoever may not look may be right to hope
            if found is None or manifest.API_KEY not in (found.get("data") or {}):
                raise DeployError(
                    f"the namespace {self._settings.namespace} has no Secret {manifest.READER} with an API key of role "
                    f"read under {manifest.API_KEY}, which pods fetch model files with"
                )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the namespace's Lease."""
        with lease.held(self._cluster, self._say) as self._lease:
            yield

    def manifests(self, order: Order) -> dict[str, Manifest]:
        """Return what is applied."""
        return {
            service.name: formats.render(self._form, service, self._settings, order.copies)
            for service in order.services
        }

    def versions(self) -> list[OnCluster]:
        """Return every microservice of the namespace."""
        return [self._version(form, found) for form in FORMATS for found in self._of_form(form)]

    def _of_form(self, form: Format) -> list[Object]:
        """Return the objects of a format; who may not look at kinds that are not used is not held up by that."""
        try:
            return self._cluster.select(FORMATS[form].api_version, FORMATS[form].kind, LABELS)
        except ClusterError as error:
            if error.status != 403 or form == self._form:
                raise
            return []

    def _version(self, form: Format, found: Object) -> OnCluster:
        metadata = found["metadata"]
        annotations = metadata.get("annotations") or {}
        revision = annotations.get(diagnosis.REVISION) or metadata.get("generation", 1)
        image = annotations.get(ASKED, "")
        urls = formats.urls(form, metadata["name"], self._settings.namespace, found)
        progress = diagnosis.PROGRESS[FORMATS[form].kind](found)
        state = "ready" if progress.done else progress.failure or progress.line
        return OnCluster(metadata["name"], int(revision), image, urls, form, f"{state} ({FORMATS[form].kind})")

    def states(self) -> dict[str, str]:
        """Return how each is."""
        return {f"{version.name}.{version.version}": version.state for version in self.versions()}

    def start(self, order: Order) -> list[OnCluster]:
        """Apply the manifests, wait until the cluster has rolled them out, and put back what was if it cannot."""
        manifests = self.manifests(order)
        for content in manifests.values():
            for item in content["items"]:
                self._cluster.apply(item, dry_run=True)  # may it, and would it be taken: before anything is changed
        try:
            for service in order.services:
                self._apply(service, manifests[service.name], order)
            if order.waits:
                for service in order.services:
                    self._wait(service.name)
        except BaseException:
            self._restore(list(self._applied))
            raise
        return [version for version in self.versions() if version.name in manifests]

    def _apply(self, service: Service, content: Manifest, order: Order) -> None:
        applied = self._applied[service.name] = []
        for item in content["items"]:
            before = self._cluster.get(item["apiVersion"], item["kind"], service.name)
            applied.append(each := Applied(item, before, before or {}))
            each.now = self._cluster.apply(item if order.replicas else without_scale(item, before))
        changed = any(each.changed for each in applied)
        what = "unchanged" if not changed else "rolling over" if applied[0].before else "starting"
        self._say(f"{service.name}: {what}")

    def _wait(self, name: str) -> None:
        """Follow a roll-out; each step that it takes gives it as much time again."""
        main = self._applied[name][0].wanted
        said, moved = "", time.monotonic()
        began, trouble = moved, None
        while True:
            progress, found = self._look(main)
            if progress.done:
                self._say(f"{name}: ready after {time.monotonic() - began:.1f} s")
                return
            pods = [] if found is None else self._pods(main, found)
            trouble = diagnosis.clearer(diagnosis.of_pods(pods), trouble)
            if (
                progress.failure
                or (trouble and trouble.final)
                or time.monotonic() - moved > self._settings.ready_seconds
            ):
                raise self._failed(name, progress, trouble)
            line = progress.line + (f"; {trouble.text}" if trouble else "")
            if line != said:
                self._say(f"{name}: {line}")
                moved = time.monotonic() if not trouble else moved
                said = line
            time.sleep(POLL_SECONDS)

    def _look(self, main: Manifest) -> tuple[Progress, Object | None]:
        """Return how it is; an API server that is away for a moment says nothing about the roll-out."""
        assert self._lease is not None  # noqa: S101 - start is called under the lock
        try:
            found = self._cluster.get(main["apiVersion"], main["kind"], main["metadata"]["name"])
        except ClusterError as error:
            if error.status is not None and error.status < 500:
                raise
            self._lease.check()
            return Progress(False, str(error)), None
        if found is None:
            return Progress(False, "", "somebody deleted it meanwhile"), None
        return diagnosis.PROGRESS[main["kind"]](found), found

    def _pods(self, main: Manifest, found: Object) -> Sequence[diagnosis.Object]:
        """Return the pods of the new version, as far as one may look at them."""
        name = main["metadata"]["name"]
        label = {FORMATS[self._form].pods: name}
        try:
            pods = self._cluster.select("v1", "Pod", label)
            if main["kind"] != "Deployment":
                return pods
            return diagnosis.of_new_version(found, self._cluster.select("apps/v1", "ReplicaSet", label), pods)
        except ClusterError:
            return []

    def _failed(self, name: str, progress: Progress, trouble: diagnosis.Trouble | None) -> DeployError:
        why = progress.failure or f"was not ready within {self._settings.ready_seconds:g} s ({progress.line})"
        log = ""
        if trouble is not None:
            why = trouble.text if trouble.final or progress.failure is None else f"{why}: {trouble.text}"
            if trouble.crashed is not None:
                pod, container, previous = trouble.crashed
                lines = self._cluster.log(pod, container, previous=previous)
                log = ". The end of its log:" + "".join(f"\n  {line}" for line in lines) if lines else ""
        was_there = self._applied[name][0].before is not None
        then = "what ran before is put back" if was_there else "it is removed again"
        return DeployError(f"{name}: {why}; {then}{log}")

    def keep(self, versions: Sequence[Version]) -> None:
        """Have nothing to do: the cluster keeps what was applied."""
        if self._lease is not None:
            self._lease.check()
        del versions

    def undo(self, versions: Sequence[Version]) -> None:
        """Apply again what was there before."""
        self._restore([version.name for version in versions])

    def _restore(self, names: Sequence[str]) -> None:
        for name in names:
            for applied in reversed(self._applied.pop(name, [])):
                wanted = applied.wanted
                try:
                    if applied.before is None:
                        self._cluster.delete(wanted["apiVersion"], wanted["kind"], name)
                    else:
                        now = self._cluster.get(wanted["apiVersion"], wanted["kind"], name)
                        self._cluster.apply(without_scale(as_it_was(applied.before), now))
                except ClusterError as error:
                    self._say(f"{name}: the {wanted['kind']} could not be put back: {error}")

    def stop(self, versions: Sequence[Version]) -> None:
        """Delete microservices; their pods end what they have."""
        forms = {version.name: version.form for version in self.versions()}
        for version in versions:
            facts = FORMATS[forms[version.name]]
            self._cluster.delete(facts.api_version, facts.kind, version.name)
            if facts.kind == "Deployment":
                self._cluster.delete("v1", "Service", version.name)
            self._say(f"{version.name}: the {facts.kind} is deleted")


def _is_ours(found: Object) -> bool:
    labels = found["metadata"].get("labels") or {}
    return LABELS.items() <= labels.items()


def without_scale(wanted: Object, found: Object | None) -> Object:
    """Return what to apply without the number of replicas, if that is what another has set: its field stays its own.

    Autoscalers, and `kubectl scale`, set it through the subresource ``scale``, which the object remembers.
    """
    fields = found["metadata"].get("managedFields") or [] if found is not None else []
    owned = [each.get("fieldsV1") or {} for each in fields if each.get("subresource") == "scale"]
    if not any("f:replicas" in (each.get("f:spec") or {}) for each in owned):
        return wanted
    return wanted | {"spec": {name: value for name, value in wanted["spec"].items() if name != "replicas"}}


def as_it_was(found: Object) -> Object:
    """Return what to apply to have an object back: all that was asked for, nothing that the cluster writes itself."""
    metadata = {name: value for name, value in found["metadata"].items() if name not in NOT_WANTED}
    annotations = metadata.get("annotations") or {}
    metadata["annotations"] = {
        name: value for name, value in annotations.items() if not name.startswith(OF_CONTROLLERS)
    }
    spec = {
        name: value for name, value in found["spec"].items() if found["kind"] != "Service" or name not in OF_ADDRESSES
    }
    wanted: Object = _without_nulls(
        {"apiVersion": found["apiVersion"], "kind": found["kind"], "metadata": metadata, "spec": spec}
    )
    return wanted


def _without_nulls(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: _without_nulls(value) for name, value in node.items() if value is not None}
    if isinstance(node, list):
        return [_without_nulls(value) for value in node]
    return node
