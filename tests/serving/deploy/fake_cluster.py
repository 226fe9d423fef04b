"""A Kubernetes API server over real HTTP, as far as start-microservice and seldon-cli know one.

It keeps objects, applies them server-side, refuses what it is told to refuse, and plays the controllers: each look at
a Deployment takes its roll-out one step further, as ``behaviour`` says for its image. Ports are forwarded for real,
over a web socket. What is wrong with a request in a way that a real API server would refuse is refused here, too.
"""

import copy
import hashlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import yaml

from tests.serving.deploy.forwarding import forward

Object = dict[str, Any]
Key = tuple[str, str, str]  # group and version, plural, name

GROUPS = {"v1", "apps/v1", "coordination.k8s.io/v1"}
KINDS = {
    "deployments": "Deployment",
    "replicasets": "ReplicaSet",
    "services": "Service",
    "secrets": "Secret",
    "leases": "Lease",
    "pods": "Pod",
    "seldondeployments": "SeldonDeployment",
    "inferenceservices": "InferenceService",
}
VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
NAMESPACE = "inlier"


class Refusal(Exception):
    def __init__(self, code: int, message: str) -> None:
        self.code, self.message = code, message


class FakeCluster:
    """Listens until it is closed.

    Attributes
    ----------
    behaviour : dict
        What becomes of pods of an image: "not pulled", "crashes", "no node", "refused", "never ready"; else they get
        ready.
    forbidden : set
        (verb, plural) that nobody may.
    forward_to : int
        The port of this machine that a pod's forwarded port leads to.
    """

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}
        self.behaviour: dict[str, str] = {}
        self.forbidden: set[tuple[str, str]] = set()
        self.groups = set(GROUPS)
        self.forward_to = 0
        self.requests: list[tuple[str, str]] = []
        self.before_answer: Callable[[str, str], None] = lambda method, path: None
        self._version = 100
        self._scalers: dict[str, set[str]] = {}
        self._lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"cluster": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def kubeconfig(self, path: Path) -> Path:
        named = [{"name": "fake", "cluster": {"server": self.url}}]
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": named,
                    "users": [{"name": "me", "user": {"token": "secret-token"}}],
                    "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me"}}],
                    "current-context": "fake",
                }
            )
        )
        return path

    def put(self, api_version: str, plural: str, name: str, **content: Any) -> Object:
        """Have an object that somebody else made."""
        metadata = {"name": name, "namespace": NAMESPACE, **content.pop("metadata", {})}
        return self._save((api_version, plural, name), {"metadata": metadata, **content})

    def get(self, api_version: str, plural: str, name: str) -> Object | None:
        with self._lock:
            return copy.deepcopy(self.objects.get((api_version, plural, name)))

    def deployment(self, name: str) -> Object | None:
        return self.get("apps/v1", "deployments", name)

    def serving(self, name: str) -> list[str]:
        """Return the images of the pods of a microservice that are ready."""
        with self._lock:
            return [pod["image"] for pod in self._pods(name) if pod["ready"]]

    def scale(self, name: str, replicas: int, manager: str = "kube-controller-manager") -> None:
        """Set how many replicas there are, as an autoscaler does."""
        with self._lock:
            found = self.objects["apps/v1", "deployments", name]
            if found["spec"]["replicas"] != replicas:
                found["metadata"]["generation"] += 1
                self._scalers[name] = set()
            found["spec"]["replicas"] = replicas
            self._scalers[name].add(manager)
            self._save(("apps/v1", "deployments", name), found)

    def scalers(self, name: str) -> set[str]:
        """Return whose the number of replicas of a Deployment is."""
        with self._lock:
            return set(self._scalers[name])

    # What requests do

    def read(self, key: Key) -> Object:
        with self._lock:
            if key not in self.objects:
                raise Refusal(404, f'{key[1]} "{key[2]}" not found')
            if key[1] == "deployments":
                self._roll_out(self.objects[key])
            if key[1] in ("seldondeployments", "inferenceservices"):
                self._operate(self.objects[key])
            return self._shown(key)

    def select(self, api_version: str, plural: str, labels: dict[str, str]) -> list[Object]:
        with self._lock:
            found = [key for key in self.objects if key[:2] == (api_version, plural)]
            shown = [self._shown(key) for key in found]
        return [each for each in shown if labels.items() <= (each["metadata"].get("labels") or {}).items()]

    def _shown(self, key: Key) -> Object:
        return copy.deepcopy({"apiVersion": key[0], "kind": KINDS[key[1]], **self.objects[key]})

    def apply(self, key: Key, wanted: Object, query: dict[str, str]) -> Object:
        _check_apply(key, wanted, query)
        with self._lock:
            before = self.objects.get(key)
            _validate(key, wanted, before)
            new = copy.deepcopy(before) if before else {"metadata": {"name": key[2], "namespace": NAMESPACE}}
            for field in ("labels", "annotations"):
                if field in wanted["metadata"]:
                    kept = {
                        name: value
                        for name, value in (new["metadata"].get(field) or {}).items()
                        if name.startswith("deployment.kubernetes.io/")
                    }
                    new["metadata"][field] = {**wanted["metadata"][field], **kept}
            for field in ("spec", "data", "type"):
                if field in wanted:
                    new[field] = _defaulted(key[1], wanted[field], (before or {}).get(field) or {})
            owners = self._scalers.get(key[2], set())
            if key[1] == "deployments":
                owners = _scaled(wanted, new, before, owners, query["fieldManager"])
            if before and {**before, "status": 0} == {**new, "status": 0}:
                return self._shown(key)  # an apply that changes nothing writes nothing
            if key[1] != "services" and (before or {}).get("spec") != new.get("spec"):
                new["metadata"]["generation"] = new["metadata"].get("generation", 0) + 1
            if query.get("dryRun") == "All":
                return {"apiVersion": key[0], "kind": KINDS[key[1]], **new}
            if key[1] == "deployments":
                self._scalers[key[2]] = owners
            self._save(key, new)
            return self._shown(key)

    def create(self, key: Key, wanted: Object) -> Object:
        with self._lock:
            if key in self.objects:
                raise Refusal(409, f'{key[1]} "{key[2]}" already exists')
            self._save(key, {name: value for name, value in wanted.items() if name not in ("apiVersion", "kind")})
            return self._shown(key)

    def replace(self, key: Key, wanted: Object) -> Object:
        with self._lock:
            if key not in self.objects:
                raise Refusal(404, f'{key[1]} "{key[2]}" not found')
            version = wanted["metadata"].get("resourceVersion")
            if version and version != self.objects[key]["metadata"]["resourceVersion"]:
                raise Refusal(
                    409, f'Operation cannot be fulfilled on {key[1]} "{key[2]}": the object has been modified'
                )
            self._save(key, {name: value for name, value in wanted.items() if name not in ("apiVersion", "kind")})
            return self._shown(key)

    def delete(self, key: Key) -> Object:
        with self._lock:
            if self.objects.pop(key, None) is None:
                raise Refusal(404, f'{key[1]} "{key[2]}" not found')
            if key[1] == "deployments":
                owned = [each for each in self.objects if each[1] in ("replicasets", "pods")]
                for each in owned:
                    if self.objects[each]["metadata"].get("labels", {}).get("name") == key[2]:
                        del self.objects[each]
            return {"kind": "Status", "apiVersion": "v1", "status": "Success"}

    def _save(self, key: Key, content: Object) -> Object:
        with self._lock:
            self._version += 1
            content.setdefault("metadata", {})["resourceVersion"] = str(self._version)
            content["metadata"].setdefault("uid", f"uid-{self._version}")
            content["metadata"]["managedFields"] = [{"manager": "inlier", "operation": "Apply"}]
            if key[1] == "deployments":
                content["metadata"]["managedFields"] += [
                    {
                        "manager": manager,
                        "operation": "Update",
                        "subresource": "scale",
                        "fieldsType": "FieldsV1",
                        "fieldsV1": {"f:spec": {"f:replicas": {}}},
                    }
                    for manager in sorted(self._scalers.get(key[2], set()) - {"inlier"})
                ]
            self.objects[key] = content
            return content

    # What controllers do

    def _pods(self, name: str) -> list[Object]:
        found = []
        for key, pod in self.objects.items():
            if key[1] == "pods" and pod["metadata"].get("labels", {}).get("name") == name:
                conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
                image = pod["spec"]["containers"][0]["image"]
                label = pod["metadata"]["labels"].get("pod-template-hash")
                found.append({"key": key, "image": image, "hash": label, "ready": conditions.get("Ready") == "True"})
        return found

    def _roll_out(self, found: Object) -> None:
        """Take one step: see the spec, make the pods, let them get on, and then let the old ones go."""
        name, spec = found["metadata"]["name"], found["spec"]
        status = found.setdefault("status", {})
        template = spec["template"]
        digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
        image = template["spec"]["containers"][0]["image"]
        behaviour = self.behaviour.get(image, "")
        if status.get("observedGeneration") != found["metadata"]["generation"]:
            status["observedGeneration"] = found["metadata"]["generation"]
            status["conditions"] = []
            self._replica_set(found, digest)
            self._count(name, digest, status)
            return
        pods = self._pods(name)
        new = [pod for pod in pods if pod["hash"] == digest]
        for pod in [pod for pod in pods if pod["hash"] != digest and not pod["ready"]]:
            del self.objects[pod["key"]]  # of a version that is not wanted any more
            pods.remove(pod)
        if behaviour == "refused":
            message = 'pods "x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1'
            status["conditions"] = [
                {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
            ]
        elif len(new) < spec["replicas"]:
            self._pod(name, digest, template, len(new))
        elif all(pod["ready"] for pod in new):
            old = next((pod for pod in pods if pod["hash"] != digest), None)
            if old is not None:
                del self.objects[old["key"]]
        else:
            pod = next(pod for pod in new if not pod["ready"])
            self._live(self.objects[pod["key"]], behaviour)
        self._count(name, digest, status)

    def _count(self, name: str, digest: str, status: Object) -> None:
        pods = self._pods(name)
        status["replicas"] = len(pods)
        status["updatedReplicas"] = sum(pod["hash"] == digest for pod in pods)
        status["readyReplicas"] = status["availableReplicas"] = sum(pod["ready"] for pod in pods)

    def _replica_set(self, found: Object, digest: str) -> None:
        name = found["metadata"]["name"]
        revisions = [
            int(each["metadata"]["annotations"]["deployment.kubernetes.io/revision"])
            for key, each in self.objects.items()
            if key[1] == "replicasets" and each["metadata"]["labels"]["name"] == name
        ]
        revision = {"deployment.kubernetes.io/revision": str(max(revisions, default=0) + 1)}
        found["metadata"].setdefault("annotations", {}).update(revision)
        labels = {"name": name, "service": "seldon", "pod-template-hash": digest}
        self.put("apps/v1", "replicasets", f"{name}-{digest}", metadata={"labels": labels, "annotations": revision})

    def _pod(self, name: str, digest: str, template: Object, number: int) -> None:
        labels = template["metadata"]["labels"] | {"pod-template-hash": digest}
        self.put(
            "v1",
            "pods",
            f"{name}-{digest}-{number}",
            metadata={"labels": labels},
            spec=copy.deepcopy(template["spec"]),
            status={"phase": "Pending", "conditions": []},
        )

    def _live(self, pod: Object, behaviour: str) -> None:
        container = pod["spec"]["containers"][0]
        status = pod["status"]
        before = (status.get("containerStatuses") or [{}])[0]
        now: Object = {"name": container["name"], "image": container["image"], "ready": False, "restartCount": 0}
        if behaviour == "not pulled":
            first = not before
            message = f'failed to pull and unpack image "{container["image"]}": not found'
            now["state"] = {
                "waiting": {"reason": "ErrImagePull", "message": message}
                if first
                else {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{container["image"]}"'}
            }
        elif behaviour == "crashes":
            ended = {"exitCode": 2, "reason": "Error"}
            if not before:
                now["state"] = {"terminated": ended}
            else:
                waiting = {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}
                now |= {"restartCount": 1, "state": {"waiting": waiting}, "lastState": {"terminated": ended}}
        elif behaviour == "no node":
            message = "0/3 nodes are available: 3 Insufficient cpu."
            status["conditions"] = [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
            ]
            return
        elif behaviour == "never ready":
            now["state"] = {"running": {}}
        else:
            now |= {"ready": True, "state": {"running": {}}}
            status["conditions"] = [{"type": "Ready", "status": "True"}]
        status["containerStatuses"] = [now]

    def _operate(self, found: Object) -> None:
        """Do what the operators of Seldon Core and KServe do, in two steps."""
        name, generation = found["metadata"]["name"], found["metadata"]["generation"]
        status = found.setdefault("status", {})
        fails = any(mark in json.dumps(found["spec"]) for mark in self.behaviour)
        if status.get("observedGeneration") != generation:
            found["status"] = {"observedGeneration": generation, "state": "Creating"}
        elif fails:
            status |= {"state": "Failed", "description": "no such thing"}
        else:
            url = f"http://{name}-default.{NAMESPACE}.svc.cluster.local:8000/api/v1.0/predictions"
            if "predictor" in found["spec"]:
                url = f"http://{name}-predictor.{NAMESPACE}.svc.cluster.local"
            ready = {"type": "Ready", "status": "True"}
            status |= {"state": "Available", "conditions": [ready], "address": {"url": url}}


def _scaled(wanted: Object, new: Object, before: Object | None, owners: set[str], manager: str) -> set[str]:
    """Let a field that is not applied any more go, unless another owns it, too; return who owns it then."""
    if "replicas" in wanted["spec"]:
        same = before is not None and before["spec"]["replicas"] == wanted["spec"]["replicas"]
        return (owners if same else set()) | {manager}
    others = owners - {manager}
    new["spec"]["replicas"] = before["spec"]["replicas"] if before is not None and others else 1
    return others


def _check_apply(key: Key, wanted: Object, query: dict[str, str]) -> None:
    if not query.get("fieldManager"):
        raise Refusal(
            400, "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value: is required for apply patch"
        )
    if wanted.get("metadata", {}).get("managedFields"):
        raise Refusal(400, "metadata.managedFields must be nil")
    if (wanted.get("apiVersion"), wanted.get("kind")) != (key[0], KINDS[key[1]]):
        raise Refusal(400, f"the kind in the data ({wanted.get('kind')}) does not match the expected kind")


def _validate(key: Key, wanted: Object, before: Object | None) -> None:
    if key[1] == "services" and not key[2][0].isalpha():
        raise Refusal(422, f'Service "{key[2]}" is invalid: metadata.name: Invalid value: a DNS-1035 label must ...')
    if key[1] != "deployments":
        return
    labels = wanted["spec"]["template"]["metadata"]["labels"]
    if not wanted["spec"]["selector"]["matchLabels"].items() <= labels.items():
        raise Refusal(422, f'Deployment "{key[2]}" is invalid: `selector` does not match template `labels`')
    if before and before["spec"]["selector"] != wanted["spec"]["selector"]:
        raise Refusal(422, f'Deployment "{key[2]}" is invalid: spec.selector: field is immutable')


def _defaulted(plural: str, spec: Any, before: Any) -> Any:
    """Add what an API server adds."""
    spec = copy.deepcopy(spec)
    if plural == "services":
        spec |= {"clusterIP": before.get("clusterIP", "10.0.0.7"), "sessionAffinity": "None"}
    if plural == "deployments":
        spec["template"]["metadata"]["creationTimestamp"] = None
        spec["template"]["spec"] |= {"dnsPolicy": "ClusterFirst", "restartPolicy": "Always"}
    return spec


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cluster: FakeCluster

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.cluster.requests.append((self.command, parts.path))
        self.cluster.before_answer(self.command, parts.path)
        try:
            content = self._route(parts.path, query, body)
        except Refusal as refusal:
            self._send(refusal.code, {"kind": "Status", "status": "Failure", "message": refusal.message})
            return
        if content is not None:
            self._send(200, content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815

    def _send(self, code: int, content: Any) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/plain" if isinstance(content, bytes) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _route(self, path: str, query: dict[str, str], body: bytes) -> Any:
        if self.headers.get("Authorization", "").lower() != "bearer secret-token":
            raise Refusal(401, "Unauthorized")
        if path == "/version":
            return {"major": "1", "minor": "32", "gitVersion": "v1.32.4"}
        root, _, rest = path.strip("/").partition("/")
        group, _, rest = rest.partition("/namespaces/")
        if root not in ("api", "apis") or (root == "api") != ("/" not in group):
            raise Refusal(404, "the server could not find the requested resource")
        if group not in self.cluster.groups:
            raise Refusal(404, "the server could not find the requested resource")
        if not rest:
            return {"kind": "APIResourceList", "groupVersion": group}
        namespace, plural, *more = rest.split("/")
        verb = VERBS[self.command] if more or self.command != "GET" else "list"
        subresource = f"/{more[1]}" if len(more) > 1 else ""
        if (verb, plural + subresource) in self.cluster.forbidden:
            raise Refusal(403, f'{plural} is forbidden: User "me" cannot {verb} resource "{plural}{subresource}"')
        if namespace != NAMESPACE:  # a list there would be empty
            raise Refusal(404, f'namespaces "{namespace}" not found')
        if subresource == "/log":
            return b"loading the model\nerror: the model file is damaged\n"
        if subresource == "/portforward":
            forward(self, int(query["ports"]), self.cluster.forward_to)
            return None
        return self._object(group, plural, more[0] if more else "", query, body)

    def _object(self, group: str, plural: str, name: str, query: dict[str, str], body: bytes) -> Any:
        wanted = json.loads(body) if body else {}
        key = (group, plural, name or wanted.get("metadata", {}).get("name", ""))
        if self.command == "GET" and name:
            return self.cluster.read(key)
        if self.command == "GET":
            labels = dict(part.split("=", 1) for part in query.get("labelSelector", "").split(",") if part)
            found = self.cluster.select(group, plural, labels)
            items = [
                {name: part for name, part in each.items() if name not in ("apiVersion", "kind")} for each in found
            ]
            return {"apiVersion": group, "kind": f"{KINDS[plural]}List", "items": items}
        if self.command == "PATCH":
            if self.headers["Content-Type"] != "application/apply-patch+yaml":
                raise Refusal(415, f"the body of the request was in an unknown format: {self.headers['Content-Type']}")
            return self.cluster.apply(key, wanted, query)
        if self.command == "POST":
            return self.cluster.create(key, wanted)
        return self.cluster.replace(key, wanted) if self.command == "PUT" else self.cluster.delete(key)
