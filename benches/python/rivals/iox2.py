"""iceoryx2's Python package: a request-response service for each process, zero-copy; events to sleep."""

from __future__ import annotations

import ctypes
import importlib
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from common import COMMAND, STATE, Array, Rows
from pages import die_with_parent

from . import Case, Design
from .pipes import Processes

#: It may be missing where types are checked.
iox2: Any = importlib.import_module("iceoryx2")
iox2.set_log_level(iox2.LogLevel.Fatal)  # its errors come as exceptions
#: Bytes: of slices of wider elements, version 0.10.0 tells the length in bytes.
Bytes = iox2.Slice[ctypes.c_uint8]
ALIGN = iox2.Alignment.new(8)


class Services(Design):
    """In its favour: requests are loaned and filled, and answers given back, outside the timed part."""

    def __init__(self, case: Case) -> None:
        self.spin = case.wait == "spin"
        node = make_node()
        self.trigger = event(node, "trigger", case.processes)
        self.done = event(node, "done", case.processes)
        services = [service(node, i) for i in range(case.processes)]
        # Before the children: a notifier looks for listeners once.
        self.listener = self.done.listener_builder().create()
        self.processes = Processes(case, work, case.processes, self.spin)
        self.clients = [
            made.client_builder().initial_max_slice_len((share.stop - share.start) * STATE * 4).create()
            for made, share in zip(services, self.processes.shares, strict=True)
        ]
        self.notifier = self.trigger.notifier_builder().create()
        self.kept = node, services
        self.answers: list[Any] = [None] * case.processes
        self.pending: list[Any] = []
        # Spinners begin when all are there: while the first ones spin, the others cannot start.
        for pipe in self.processes.pipes:
            pipe.send("go")

    def fill(self, states: Array) -> None:
        """A filled request for each process."""
        self.answers = [None] * len(self.clients)
        self.pending = []
        self.requests = []
        for client, share in zip(self.clients, self.processes.shares, strict=True):
            piece = states[share]
            request = client.loan_slice_uninit(piece.nbytes)
            ctypes.memmove(request.payload_ptr, piece.ctypes.data, piece.nbytes)
            self.requests.append(request.assume_init())

    def round(self) -> None:
        """All are asked before the first answer is looked at."""
        self.pending = [request.send() for request in self.requests]
        if self.spin:
            for i, pending in enumerate(self.pending):
                while (answer := pending.receive()) is None:
                    pass
                self.answers[i] = answer
            return
        self.notifier.notify()
        missing = len(self.pending)
        while missing:
            for activation in self.listener.blocking_wait():
                i = activation.id.as_value
                self.answers[i] = self.pending[i].receive()
                missing -= 1

    def commands(self) -> Array:
        """Of all processes."""
        assert all(answer is not None for answer in self.answers)
        parts = [np.frombuffer(a.payload().as_memory_view(), np.float32) for a in self.answers]
        return np.concatenate(parts).reshape(-1, COMMAND)

    def close(self) -> None:
        """Ends it. What killed processes leave carries the name of the cell's folder, and goes with it."""
        for child in self.processes.children:
            child.kill()  # asleep, or spinning
        self.processes.close()


def work(pipe: Connection, controller: str, rows: int, i: int, processes: int, spin: bool) -> None:
    """A process of `Services`."""
    die_with_parent()
    mine = Rows(controller, rows)
    node = make_node()
    server = service(node, i).server_builder().initial_max_slice_len(rows * COMMAND * 4).create()
    trigger = event(node, "trigger", processes).listener_builder().create()
    done = event(node, "done", processes).notifier_builder().default_event_id(iox2.EventId.new(i)).create()
    pipe.send("ready")
    pipe.recv()
    while True:
        while (request := server.receive()) is None:
            if not spin:
                trigger.blocking_wait()
        states = np.frombuffer(request.payload().as_memory_view(), np.float32).reshape(rows, STATE)
        commands = mine.solve(states)
        answer = request.loan_slice_uninit(commands.nbytes)
        ctypes.memmove(answer.payload_ptr, commands.ctypes.data, commands.nbytes)
        answer.assume_init().send()
        if not spin:
            done.notify()


def make_node() -> Any:
    """A world of its own per cell: nothing on the machine is met, and what is left is known by its name."""
    folder = Path(tempfile.gettempdir())
    config = iox2.config.default()
    config.global_cfg.prefix = iox2.FileName.new(f"{folder.name}_")
    config.global_cfg.root_path = iox2.Path.new(str(folder))
    # The search for dead nodes is quadratic in their number.
    config.global_cfg.service.cleanup_dead_nodes_on_open = False
    config.global_cfg.node.cleanup_dead_nodes_on_creation = False
    config.global_cfg.node.cleanup_dead_nodes_on_destruction = False
    builder = iox2.NodeBuilder.new().config(config)
    return builder.signal_handling_mode(iox2.SignalHandlingMode.Disabled).create(iox2.ServiceType.Ipc)


def service(node: Any, i: int) -> Any:
    """The service of a process, with buffers as small as the exchange allows."""
    return (
        node.service_builder(iox2.ServiceName.new(f"controller/{i}"))
        .request_response(Bytes, Bytes)
        .request_payload_alignment(ALIGN)
        .response_payload_alignment(ALIGN)
        .max_nodes(2)
        .max_clients(1)
        .max_servers(1)
        .max_loaned_requests(1)
        # A process gives a request back after it has answered, when the next may be there already.
        .max_active_requests_per_client(2)
        .max_response_buffer_size(1)
        .max_borrowed_responses_per_pending_response(1)
        .open_or_create()
    )


def event(node: Any, name: str, processes: int) -> Any:
    """An event service between this process and its children."""
    return (
        node.service_builder(iox2.ServiceName.new(name))
        .event()
        .max_nodes(processes + 1)
        .max_listeners(processes)
        .max_notifiers(processes)
        .event_id_max_value(processes)
        .open_or_create()
    )
