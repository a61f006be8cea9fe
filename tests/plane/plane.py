"""The plane itself: a thread with a loop, the servers in it, and the sandboxes."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from grpclib import Status
from modal_proto import api_pb2
from modal_proto.api_grpc import ModalClientBase
from modal_proto.task_command_router_grpc import TaskCommandRouterBase

from .containers import ContainerPlace, Fleet
from .faults import Faults
from .latency import Delays, Latency
from .processes import ProcessPlace
from .reaper import Reaper
from .router import Guard, Router
from .rpc import Listener, service
from .sandbox import Sandbox
from .sandboxes import Sandboxes
from .servicer import Control, Gate
from .spec import Place, spec_of
from .store import Store, new_id
from .tunnels import Authority, Tunnel
from .uploads import Uploads

Backend = Literal["docker", "process"]
T = TypeVar("T")
SECONDS = 60


class ControlPlane:
    """A Modal of one's own on the loopback interface, for as long as the ``with`` block lasts.

    ``backend`` "docker" needs ``image``, the engine's name for what every sandbox is made of,
    whatever recipe it asks for. ``secrets`` are those that can be looked up by name. The methods
    are for any thread but the plane's own.
    """

    def __init__(
        self,
        backend: Backend,
        image: str | None = None,
        latency: Latency | None = None,
        secrets: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        if (backend == "docker") != (image is not None):
            raise ValueError(f"backend {backend!r} with image {image!r}: only docker takes one")
        self.id = uuid.uuid4().hex[:12]
        self.backend = backend
        self._image = image
        self._delays = Delays(latency or Latency())
        self._token = (f"ak-{uuid.uuid4().hex}", f"as-{uuid.uuid4().hex}")
        self._store = Store(secrets or {})
        self._faults = Faults(self._delays)
        self._sandboxes = Sandboxes(self._make)
        self.unimplemented: list[str] = []
        """Names of calls that the plane does not know, in order."""
        self._fleet: Fleet | None = None

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix=f"plane-{self.id}-"))
        self._reaper = Reaper(self._folder, self.id, self.backend)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="modal-plane", daemon=True)
        self._thread.start()
        try:
            self._call(self._begin())
        except BaseException:
            self._let_go(nothing_left=False)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._call(self._end())
        except BaseException:
            self._let_go(nothing_left=False)
            raise
        self._let_go(nothing_left=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _let_go(self, nothing_left: bool) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._reaper.dismiss(nothing_left)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        done: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(SECONDS)

    async def _begin(self) -> None:
        self._authority = Authority(self._folder)
        self._uploads = Uploads(self._store)
        control = Control(self._store, self._uploads.url)
        parts = [control, self._sandboxes]
        self._control = Listener(
            [service(ModalClientBase, parts, self.unimplemented.append)],
            Gate(self._token, self._faults).check,
        )
        if self._image is not None:
            self._fleet = Fleet(self.id, self._image)
            await self._fleet.open()
        await self._start()

    async def _end(self) -> None:
        await self._control.end()
        await self._sandboxes.settled()
        for sandbox in self._sandboxes.running():
            sandbox.terminate()
        for sandbox in self._sandboxes.all.values():
            await sandbox.removed()
            if sandbox.router is not None:
                await sandbox.router.end()
        await self._uploads.end()
        if self._fleet is not None:
            await self._fleet.close()

    async def _make(self, request: Any, second: bool) -> Sandbox:
        """The SDK tells the versions of its interface apart by the form of the names."""
        definition: api_pb2.Sandbox = request.definition
        sandbox_id = new_id("sb", 26 if second else 22)
        task_id = new_id("ta") + ("V" if second else "")
        env = self._environ(request)
        spec = spec_of(sandbox_id, definition, env, self._store.files(definition.mount_ids))
        sandbox = Sandbox(spec, request, task_id, self._place(sandbox_id))
        try:
            await sandbox.start()
        except BaseException:
            await sandbox.place.remove()
            raise
        await self._open_ways(sandbox)
        return sandbox

    async def _open_ways(self, sandbox: Sandbox) -> None:
        sandbox.router = self._router(sandbox)
        await sandbox.router.open()
        for spec in sandbox.definition.open_ports.ports:
            tunnel = Tunnel(spec, partial(sandbox.place.connect, spec.port), self._authority)
            await tunnel.open()
            sandbox.tunnels.append(tunnel)

    def _environ(self, request: Any) -> dict[str, str]:
        """What secrets give to a sandbox or an exec; versions of the SDK differ in how they say."""
        of = getattr(request, "definition", request)
        env = self._store.environ(of.secret_ids, getattr(request, "secret_sources", ()))
        if hasattr(request, "ephemeral_secrets"):
            env |= dict(request.ephemeral_secrets.contents)
        return env

    def _place(self, sandbox_id: str) -> Place:
        if self._fleet is not None:
            return ContainerPlace(self._fleet)
        return ProcessPlace(self._folder / sandbox_id)

    def _router(self, sandbox: Sandbox) -> Listener:
        router = Router(sandbox, self._delays, self._environ)
        return Listener(
            [service(TaskCommandRouterBase, [router], self.unimplemented.append)],
            Guard(sandbox.token, self._faults).check,
        )

    # What tests ask

    @property
    def environment(self) -> dict[str, str]:
        """The variables that a process needs to be a client of this plane and of no other. With
        them it trusts the tunnels' certificates, and no public ones."""
        authority = str(self._authority.file)
        return {
            "MODAL_SERVER_URL": self._control.url,
            "MODAL_TOKEN_ID": self._token[0],
            "MODAL_TOKEN_SECRET": self._token[1],
            "MODAL_CONFIG_PATH": str(self._folder / "no-modal.toml"),
            "MODAL_DISABLE_API_PROXY": "1",
            "SSL_CERT_FILE": authority,
            "REQUESTS_CA_BUNDLE": authority,
            "NO_PROXY": "127.0.0.1",
        }

    @property
    def calls(self) -> list[str]:
        """The names of the calls that were let in so far, in order."""
        return list(self._faults.calls)

    @property
    def images(self) -> dict[str, list[str]]:
        """The Dockerfile commands of each image that was asked for, by its id."""
        return {image_id: self._store.recipe(image_id) for image_id in list(self._store.images)}

    def running(self) -> list[str]:
        """The ids of the sandboxes that have not ended, the oldest first."""
        return [sandbox.id for sandbox in self._sandboxes.running()]

    def definition(self, sandbox_id: str) -> api_pb2.Sandbox:
        """What a sandbox was asked to be."""
        return self._sandboxes.get(sandbox_id).definition

    def tags(self, sandbox_id: str) -> dict[str, str]:
        return dict(self._sandboxes.get(sandbox_id).tags)

    def add_secret(self, name: str, env: Mapping[str, str]) -> None:
        """A secret that can be looked up by its name."""
        self._store.add_secret(env, name)

    # What goes wrong

    def refuse(self, name: str, status: Status, message: str, times: int = 1) -> None:
        """Answer the next calls of this name with an error. The SDK itself repeats what failed
        with UNAVAILABLE, INTERNAL, UNKNOWN, CANCELLED or DEADLINE_EXCEEDED, mostly three times."""
        self._faults.refuse(name, status, message, times)

    def delay(self, name: str, seconds: float, times: int = 1) -> None:
        """Hold the next calls of this name up."""
        self._faults.delay(name, seconds, times)

    def kill(self, sandbox_id: str) -> None:
        """As when its machine is taken away: it ends with the status of a failure."""
        self._call(self._finish(sandbox_id, Sandbox.preempt))

    def terminate(self, sandbox_id: str) -> None:
        """As when somebody stops it from elsewhere."""
        self._call(self._finish(sandbox_id, Sandbox.terminate))

    def expire(self, sandbox_id: str) -> None:
        """As when its ``timeout`` is over."""
        self._call(self._finish(sandbox_id, Sandbox.expire))

    async def _finish(self, sandbox_id: str, end: Callable[[Sandbox], None]) -> None:
        sandbox = self._sandboxes.get(sandbox_id)
        end(sandbox)
        await sandbox.ended.wait()

    def cut(self, sandbox_id: str) -> None:
        """Drop the sandbox's connections of this moment, those to its router and those through its
        tunnels; new ones work."""
        self._call(self._cut([self._sandboxes.get(sandbox_id)]))

    def cut_all(self) -> None:
        self._call(self._cut(self._sandboxes.running()))

    async def _cut(self, sandboxes: list[Sandbox]) -> None:
        for sandbox in sandboxes:
            if sandbox.router is not None:
                sandbox.router.cut()
            for tunnel in sandbox.tunnels:
                tunnel.cut()

    def close_tunnels(self, sandbox_id: str) -> None:
        """Its tunnels are gone for good."""
        self._call(self._close_tunnels(self._sandboxes.get(sandbox_id)))

    async def _close_tunnels(self, sandbox: Sandbox) -> None:
        for tunnel in sandbox.tunnels:
            await tunnel.end()

    def stop(self) -> None:
        """Listen no more and drop all connections; the sandboxes go on."""
        self._call(self._stop())

    def start(self) -> None:
        """Listen again, on the same ports."""
        self._call(self._start())

    def _listeners(self) -> list[Any]:
        found: list[Any] = [self._uploads, self._control]
        for sandbox in self._sandboxes.all.values():
            found += [each for each in (sandbox.router, *sandbox.tunnels) if each is not None]
        return found

    async def _stop(self) -> None:
        for each in self._listeners():
            await each.close()

    async def _start(self) -> None:
        for each in self._listeners():
            await each.open()
