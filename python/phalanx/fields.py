"""Named views of a table's columns: numpy arrays that *are* the memory the controllers read."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

if TYPE_CHECKING:
    import jax
    import torch

    from ._core import Client, FieldView


class FieldArray(np.ndarray[Any, Any]):
    """A field of all rows, shape (n, ...): a numpy array mapped onto the cluster's memory.

    Arithmetic gives ordinary arrays. `info` says what the numbers mean; slices have None.
    """

    info: FieldView | None = None

    @classmethod
    def of(cls, info: FieldView) -> FieldArray:
        """The array over a field's memory, which it keeps mapped."""
        array = np.asarray(info).view(cls)
        array.info = info
        return array

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False, /) -> Any:
        if array is self:
            return self
        return array[()] if return_scalar else array.view(np.ndarray)

    def numpy(self) -> np.ndarray[Any, Any]:
        """The same memory as a plain array."""
        return self.view(np.ndarray)

    @property
    def torch(self) -> torch.Tensor:
        """The same memory as a torch tensor on the CPU; the same object every time."""
        tensor: torch.Tensor | None = self.__dict__.get("_torch")
        if tensor is None:
            import torch

            # A tensor of inference mode could not be written outside it, ever.
            with torch.inference_mode(False):
                tensor = self.__dict__["_torch"] = torch.from_numpy(self.view(np.ndarray))
        return tensor

    @property
    def jax(self) -> jax.Array:
        """The values now, as a JAX array: a copy, since JAX arrays may not change under it."""
        import jax.numpy

        return jax.numpy.array(self.view(np.ndarray), copy=True)

    @property
    def unit(self) -> str:
        """SI unit; empty for none."""
        return self.info.unit if self.info is not None else ""

    @property
    def frame(self) -> str:
        """Frame the values are expressed in; empty where that means nothing."""
        return self.info.frame if self.info is not None else ""

    @property
    def labels(self) -> list[str]:
        """Names of the elements along the second dimension (joints, contacts); may be empty."""
        return self.info.labels if self.info is not None else []

    @property
    def doc(self) -> str:
        """One line about the field."""
        return self.info.doc if self.info is not None else ""

    def __reduce__(self) -> Any:
        # A pickle holds the values: the memory belongs to this cluster.
        return self.view(np.ndarray).copy().__reduce__()


class Fields:
    """The fields of one group: `state.joint_q` is the array, `state.joint_q = x` copies into it."""

    # No field is called so: their names have no capitals.
    __group: str
    __names: tuple[str, ...]

    def __init__(self, group: str, views: tuple[FieldView, ...], client: Client | None = None) -> None:
        mine = self.__dict__
        mine["_Fields__group"] = group
        mine["_Fields__names"] = tuple(view.name for view in views)
        for view in views:
            if view.device == "cpu":
                mine[view.name] = FieldArray.of(view)
            else:
                from .device import DeviceField

                mine[view.name] = DeviceField(view, client)

    def __setattr__(self, name: str, value: Any) -> None:
        field = self.__dict__.get(name)
        if field is None or name not in self.__names:
            self._no_field(name)
        if value is field:
            return
        try:
            field[...] = on_host(value) if isinstance(field, np.ndarray) else value
        except ValueError as e:
            what = f"{self.__group}.{name} ({field.dtype}, {tuple(field.shape)})"
            raise ValueError(f"{what}: {e}") from None

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{self.__group}.{name} cannot be deleted")

    def __getattr__(self, name: str) -> FieldArray:
        if name.startswith("__"):
            raise AttributeError(name)
        self._no_field(name)

    def _no_field(self, name: str) -> NoReturn:
        raise AttributeError(self._unknown(name))

    def _unknown(self, name: str) -> str:
        near = difflib.get_close_matches(name, self.__names, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(self.__names)}"
        return f"{self.__group} has no field {name!r}{hint}"

    def __getitem__(self, name: str) -> FieldArray:
        if name not in self.__names:
            raise KeyError(self._unknown(name))
        return self.__dict__[name]  # type: ignore[no-any-return]

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def __iter__(self) -> Iterator[str]:
        return iter(self.__names)

    def __len__(self) -> int:
        return len(self.__names)

    def __contains__(self, name: object) -> bool:
        return name in self.__names

    def __dir__(self) -> list[str]:
        return [*self.__names, *object.__dir__(self)]

    def __repr__(self) -> str:
        return f"<{self.__group}: {', '.join(self.__names)}>"

    def _repr_html_(self) -> str:
        cells = []
        for name in self.__names:
            field = self[name]
            cells.append(
                f"<tr><td>{name}</td><td>{tuple(field.shape)}</td><td>{field.dtype}</td>"
                f"<td>{escape(field.unit)}</td><td>{escape(field.frame)}</td><td>{escape(field.doc)}</td></tr>"
            )
        head = "<tr><th>field</th><th>shape</th><th>dtype</th><th>unit</th><th>frame</th><th></th></tr>"
        return f"<table><caption>{self.__group}</caption>{head}{''.join(cells)}</table>"


def on_host(value: Any) -> Any:
    """A value of any library and device as numpy can read it."""
    if hasattr(value, "detach"):
        value = value.detach()
    if hasattr(value, "__cuda_array_interface__"):
        # As torch, CuPy, Numba, and Warp and our own call it.
        for to_host in ("cpu", "get", "copy_to_host", "numpy"):
            if hasattr(value, to_host):
                return getattr(value, to_host)()
    return value


def as_rows(chosen: Any) -> np.ndarray[Any, Any]:
    """A choice of rows from any library and device, as a bool or int64 array (anything else as it is)."""
    array = np.asarray(on_host(chosen))
    if array.dtype.kind == "b":
        return np.ascontiguousarray(array)
    if array.dtype.kind in "iu" or (array.size == 0 and array.ndim == 1):
        if array.dtype == np.uint64:
            # What does not fit an int64 is too great for a row, too.
            array = np.minimum(array, np.uint64(np.iinfo(np.int64).max))
        return array.astype(np.int64).reshape(array.shape or 1)
    raise TypeError(f"rows of {array.dtype}: give a bool mask, integer ids, a slice, an int or None")
