"""Which runtime, and which proxy: as it was said, or what can be found."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Literal

from serving.deploy import cluster as clusters
from serving.deploy.calls import Proxy
from serving.deploy.cluster import Cluster
from serving.deploy.credentials import FileKeys, Keys
from serving.deploy.formats import Format
from serving.deploy.home import Home
from serving.deploy.process import ProcessRuntime
from serving.deploy.runtime import Runtime, Say
from serving.errors import ClusterError, DeployError
from serving.settings import DeploySettings, HomeSettings

DEFAULT_SERVER = "http://127.0.0.1:8000"
RUNTIMES = ("process", "kubernetes", "docker")
Name = Literal["auto", "process", "kubernetes", "docker"]


def named_proxy(server: str | None) -> Proxy | None:
    """Return the proxy that was named, by option or setting."""
    named = server or HomeSettings().server
    return Proxy(named) if named else None


@contextmanager
def find_proxy(
    server: str | None, home: Home, context: str | None, settings: DeploySettings
) -> Iterator[tuple[Proxy, Keys]]:
    """Give a proxy and where the keys for it are kept: the one that was named, the home's, or the cluster's.

    Raises
    ------
    DeployError
        When there is a kubeconfig, and no proxy on its cluster.
    """
    named = named_proxy(server)
    running = home.running()
    if named is None and context is None and running is not None:
        named = Proxy(running.server)
    if named is None and (context is not None or _may_be_a_cluster()):
        with closing(clusters.connect(context, settings.namespace)) as cluster:
            proxy, keys = _of_cluster(cluster)
            with closing(proxy):
                yield proxy, keys
        return
    with closing(named or Proxy(DEFAULT_SERVER)) as proxy:
        yield proxy, FileKeys(home.credentials, proxy.server)


def _may_be_a_cluster() -> bool:
    return clusters.kubeconfig() is not None or clusters.runs_inside()


def _of_cluster(cluster: Cluster) -> tuple[Proxy, Keys]:
    from serving.deploy.cluster_proxy import SecretKeys, proxy_of

    return proxy_of(cluster), SecretKeys(cluster)


@contextmanager
def find(
    *,
    runtime: Name,
    form: Format,
    context: str | None,
    server: str | None,
    settings: DeploySettings,
    home: Home,
    say: Say,
) -> Iterator[tuple[Runtime, Proxy]]:
    """Give the runtime to start microservices on, and the proxy whose clients get them.

    Raises
    ------
    DeployError
        When there is none.
    """
    with ExitStack() as stack:
        cluster: Cluster | None = None
        if runtime == "auto":
            runtime, why, cluster = _auto(home, context, settings)
            say(f"runtime: {runtime}, because {why}")
        proxy = named_proxy(server)
        if runtime == "process":
            process = ProcessRuntime(home, settings, say)
            yield process, stack.enter_context(closing(proxy or Proxy(process.server)))
            return
        if runtime == "docker":
            from serving.deploy.docker import DockerRuntime, find_engine

            running = home.running()
            proxy = stack.enter_context(closing(proxy or Proxy(running.server if running else DEFAULT_SERVER)))
            yield DockerRuntime(find_engine(), settings, say), proxy
            return
        from serving.deploy.kubernetes import KubernetesRuntime

        cluster = stack.enter_context(closing(cluster or clusters.connect(context, settings.namespace)))
        proxy = stack.enter_context(closing(proxy or _of_cluster(cluster)[0]))
        yield KubernetesRuntime(cluster, form, settings, say), proxy


def _auto(home: Home, context: str | None, settings: DeploySettings) -> tuple[Name, str, Cluster | None]:
    """Return a runtime that is there, and why it is this one."""
    if context is None and home.running() is not None:
        return "process", f"`inlier up` runs in {home.path}", None
    try:
        cluster = clusters.connect(context, settings.namespace)
    except ClusterError as error:
        if context is not None:
            raise
        no_cluster = str(error)
    else:
        return "kubernetes", f"{cluster.place.title} answers at {cluster.configuration.host}", cluster
    from serving.deploy.docker import find_engine

    try:
        engine = find_engine()
    except DeployError as error:
        raise DeployError(
            f"nothing to run microservices on: nothing runs in {home.path} (`inlier up` does); {no_cluster}; {error}"
        ) from None
    return "docker", f"{engine.program} answers; {no_cluster}", None
