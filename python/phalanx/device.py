"""Fields on a device: what `client.state.joint_q` is for a client of `device="cuda:0"`."""

from __future__ import annotations

import contextlib
import operator
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import jax
    import torch

    from ._core import Client, FieldView


class DeviceField:
    """A field of all rows on a device, shape (n, ...). Its address never changes.

    `torch`, CuPy, Warp and Numba make views of it without a copy (`.torch`, `__dlpack__`,
    `__cuda_array_interface__`); torch functions take it as it is. `field[rows] = x`, `field[rows]`,
    arithmetic, comparisons and methods (`field.mean()`) are those of `.torch`, on torch's current stream;
    `field += x` changes the device's memory. In a program without torch they are those of `.numpy()`, and
    slow.
    """

    # Before a numpy array adds a field to itself, the field is asked.
    __array_priority__ = 1000

    def __init__(self, info: FieldView, client: Client | None) -> None:
        self.info = info
        self._client = client
        self._torch: torch.Tensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, then the field's own shape."""
        return self.info.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its element type."""
        return np.dtype(self.info.dtype)

    @property
    def unit(self) -> str:
        """SI unit; empty for none."""
        return self.info.unit

    @property
    def frame(self) -> str:
        """Frame the values are expressed in; empty where that means nothing."""
        return self.info.frame

    @property
    def labels(self) -> list[str]:
        """Names of the elements along the second dimension (joints, contacts); may be empty."""
        return self.info.labels

    @property
    def doc(self) -> str:
        """One line about the field."""
        return self.info.doc

    @property
    def device(self) -> Any:
        """The device: torch's, or its name in a program without torch."""
        return self.torch.device if self._with_torch() else self.info.device

    @property
    def torch(self) -> torch.Tensor:
        """The same memory as a torch tensor; the same object every time."""
        if self._torch is None:
            import torch
            from torch.utils import dlpack

            # A tensor of inference mode could not be written outside it, ever.
            with torch.inference_mode(False):
                self._torch = dlpack.from_dlpack(self.info)
        return self._torch

    @property
    def jax(self) -> jax.Array:
        """The values now, as a JAX array: a copy, since JAX arrays may not change under it.

        JAX takes no strided memory, so the field is made compact first: on the device where the program uses
        torch, through the host's memory where it does not. A JAX without CUDA gets it on its default device.
        """
        import jax
        import jax.dlpack

        device: Any = None
        with contextlib.suppress(RuntimeError, IndexError):  # this JAX has no such device
            device = jax.devices("cuda")[self.info.__dlpack_device__()[1]]
        values: jax.Array
        if device is None or not self._with_torch():
            values = jax.device_put(self.numpy(), device)
        else:
            import torch

            compact = self.torch.detach().clone(memory_format=torch.contiguous_format)
            values = jax.dlpack.from_dlpack(compact)
        return values

    def numpy(self) -> np.ndarray[Any, Any]:
        """The values now, copied to an array in memory: to look at, not to work with."""
        values = self._alive().read(self.info.group, self.info.name)
        array: np.ndarray[Any, Any] = np.ndarray(self.shape, self.dtype, values).copy()
        return array

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self.info.__cuda_array_interface__

    def __dlpack__(self, **options: Any) -> Any:
        return self.info.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.info.__dlpack_device__()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if copy is False:
            raise ValueError("a field on a device cannot be an array in memory without a copy")
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    def __getitem__(self, rows: Any) -> Any:
        return self._values()[self._plain(rows, convert=False)]

    def __setitem__(self, rows: Any, value: Any) -> None:
        rows = self._plain(rows, convert=False)
        if self._with_torch():
            import torch

            with torch.no_grad():
                value = torch.as_tensor(self._plain(value), device=self.torch.device)
                self.torch[rows] = value.detach()
            return
        from .fields import on_host

        host = self.numpy()
        host[rows] = on_host(value)
        self._alive().write(self.info.group, self.info.name, host.tobytes())

    def __getattr__(self, name: str) -> Any:
        # What this class has comes here only after it failed.
        if name.startswith("_") or hasattr(type(self), name):
            raise AttributeError(f"a field on a device has no {name!r} here")
        return getattr(self._values(), name)

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return function(*_as_tensors(args), **_as_tensors(kwargs or {}))

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values())

    def __repr__(self) -> str:
        return (
            f"DeviceField({self.info.group}.{self.info.name}, {self.shape}, {self.dtype}, {self.info.device})"
        )

    def _with_torch(self) -> bool:
        return self._torch is not None or _torch_is_there()

    def _values(self) -> Any:
        """The tensor; without torch a copy, which refuses to be written."""
        if self._with_torch():
            return self.torch
        values = self.numpy()
        values.flags.writeable = False
        return values

    def _plain(self, value: Any, convert: bool = True) -> Any:
        """What goes with `_values`: no fields; if `convert`, arrays and lists are on the tensor's device."""
        if not self._with_torch():
            return np.asarray(value) if isinstance(value, DeviceField) else value
        value = _as_tensors(value)
        if convert and isinstance(value, (np.ndarray, list, tuple)):
            import torch

            return torch.as_tensor(value, device=self.torch.device)
        return value

    def _alive(self) -> Client:
        if self._client is None:
            raise ReferenceError("the client of this field is gone")
        return self._client


def _unary(operate: Callable[[Any], Any]) -> Any:
    return lambda self: operate(self._values())


def _binary(operate: Callable[[Any, Any], Any]) -> Any:
    return lambda self, other: operate(self._values(), self._plain(other))


def _reflected(operate: Callable[[Any, Any], Any]) -> Any:
    return lambda self, other: operate(self._plain(other), self._values())


def _in_place(operate: Callable[[Any, Any], Any]) -> Any:
    def change(self: DeviceField, other: Any) -> DeviceField:
        values = self.torch if self._with_torch() else self.numpy()
        with _no_grad():
            changed = operate(values, self._plain(other))
        # No tensor, or an operator that torch has no version in place of.
        if changed is not self._torch:
            self[...] = changed
        return self

    return change


for _name in ("neg", "pos", "abs", "invert"):
    setattr(DeviceField, f"__{_name}__", _unary(getattr(operator, _name)))
for _name, _convert in (("bool", bool), ("int", int), ("float", float)):
    setattr(DeviceField, f"__{_name}__", _unary(_convert))
for _name in ("lt", "le", "eq", "ne", "gt", "ge"):
    setattr(DeviceField, f"__{_name}__", _binary(getattr(operator, _name)))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor"):
    _dunder, _operate = _name.rstrip("_"), getattr(operator, _name)
    setattr(DeviceField, f"__{_dunder}__", _binary(_operate))
    setattr(DeviceField, f"__r{_dunder}__", _reflected(_operate))
    setattr(DeviceField, f"__i{_dunder}__", _in_place(getattr(operator, f"i{_dunder}")))


def _no_grad() -> Any:
    torch = sys.modules.get("torch")
    return torch.no_grad() if torch is not None else contextlib.nullcontext()


def _torch_is_there() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and torch.cuda.is_available()


def _as_tensors(value: Any) -> Any:
    """Fields among a torch function's arguments become tensors."""
    if isinstance(value, DeviceField):
        return value.torch
    if isinstance(value, (tuple, list)):
        return type(value)(_as_tensors(item) for item in value)
    if isinstance(value, dict):
        return {key: _as_tensors(item) for key, item in value.items()}
    return value
