"""What is raised: for misuse and for a vanished server. Outcomes of rows are data (`Report`)."""


class PhalanxError(Exception):
    """Everything this package raises on purpose."""


class ConfigError(PhalanxError, ValueError):
    """A setting is missing, unknown or out of range."""


class RobotError(PhalanxError, ValueError):
    """The robot's description cannot be used."""


class MisuseError(PhalanxError, ValueError):
    """A field, row or call that does not fit."""


class SchemaError(PhalanxError, ValueError):
    """The cluster's fields are not those expected; `differences` has a line for each."""

    differences: list[str]


class ConventionError(PhalanxError, ValueError):
    """Client and cluster mean different things by a field; `differences` has a line for each."""

    differences: list[str]


class StartError(PhalanxError, RuntimeError):
    """The controllers could not be started; `worker`, `pid` and `log` say more, where known."""

    worker: int | None = None
    pid: int | None = None
    log: list[str] = []  # noqa: RUF012 - replaced, never filled


class RoundTimeout(PhalanxError, TimeoutError):
    """A round took longer than its timeout. Its `rows` stay late; the cluster can be used on."""

    rows: list[int]
    pids: list[int]


class ServerGone(PhalanxError, ConnectionError):
    """The cluster's server has ended."""


class ClientTaken(PhalanxError, ConnectionError):
    """Another process, `pid`, is the cluster's client."""

    pid: int


class OperatorTaken(PhalanxError, ConnectionError):
    """Another process, `pid`, is the cluster's operator."""

    pid: int


class ClosedError(PhalanxError, RuntimeError):
    """The cluster or client was closed."""


class ForkError(PhalanxError, RuntimeError):
    """This process is a fork of the one that opened the cluster."""


class ShmError(PhalanxError, OSError):
    """The shared memory: absent, damaged, full, or somebody else's."""


class FileError(PhalanxError, OSError):
    """A file could not be read or written."""


class DeviceError(PhalanxError, RuntimeError):
    """The device: no driver, no such device, or a copy that failed."""
