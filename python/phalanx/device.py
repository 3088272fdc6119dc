"""Fields on a device: what `client.state.joint_q` is for a client of `device="cuda:0"`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import jax
    import torch

    from ._core import Client, FieldView


class DeviceField:
    """A field of all rows on a device, shape (n, ...). Its address never changes.

    `torch`, CuPy, Warp, Numba and JAX make views of it without a copy (`.torch`, `__dlpack__`,
    `__cuda_array_interface__`); torch functions take it as it is. `field[rows] = x` and `field[rows]` are
    torch's, on its current stream.
    """

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
    def torch(self) -> torch.Tensor:
        """The same memory as a torch tensor; the same object every time."""
        if self._torch is None:
            from torch.utils import dlpack

            self._torch = dlpack.from_dlpack(self.info)
        return self._torch

    @property
    def jax(self) -> jax.Array:
        """The values now, as a JAX array on the device: a copy, since JAX arrays may not change under it."""
        import jax.dlpack
        import jax.numpy

        return jax.numpy.array(jax.dlpack.from_dlpack(self.info), copy=True)

    @property
    def numpy(self) -> np.ndarray[Any, Any]:
        """The values now, copied to an array in memory: to look at, not to work with."""
        array = np.empty(self.shape, self.dtype)
        array.data.cast("B")[:] = self._alive().read(self.info.group, self.info.name)
        return array

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self.info.__cuda_array_interface__

    def __dlpack__(self, **options: Any) -> Any:
        return self.info.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.info.__dlpack_device__()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return self.numpy if dtype is None else self.numpy.astype(dtype)

    def __getitem__(self, rows: Any) -> Any:
        return self.torch[rows] if _torch_is_there() else self.numpy[rows]

    def __setitem__(self, rows: Any, value: Any) -> None:
        if _torch_is_there():
            import torch

            self.torch[rows] = torch.as_tensor(value, device=self.torch.device)
            return
        host = self.numpy
        host[rows] = np.asarray(value)
        self._alive().write(self.info.group, self.info.name, host.tobytes())

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return function(*_as_tensors(args), **_as_tensors(kwargs or {}))

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return (
            f"DeviceField({self.info.group}.{self.info.name}, {self.shape}, {self.dtype}, {self.info.device})"
        )

    def _alive(self) -> Client:
        if self._client is None:
            raise ReferenceError("the client of this field is gone")
        return self._client


def _torch_is_there() -> bool:
    import sys

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
