"""Values that were used last, within a bound of memory: features, read prefixes, decoded ECGs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """Something that knows the memory it takes."""

    @property
    def nbytes(self) -> int:
        """Bytes."""


Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value", bound=Sized)


class ByteCache(Generic[Key, Value]):
    """A map that forgets what was not used for longest. For one thread at a time.

    Args:
        maximum_bytes: of all values together; 0 keeps none.

    Attributes:
        hits: how often a value was found. misses: how often it was not.
        nbytes: memory of all values now.
    """

    def __init__(self, maximum_bytes: int) -> None:
        self._maximum_bytes = maximum_bytes
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self.nbytes = 0
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: Key) -> bool:
        """Whether a value is kept; neither a use nor a hit."""
        return key in self._values

    def get(self, key: Key) -> Value | None:
        """The value, None where it is not kept."""
        value = self._values.get(key)
        if value is None:
            self.misses += 1
            return None
        self.hits += 1
        self._values.move_to_end(key)
        return value

    def put(self, key: Key, value: Value) -> None:
        """Keep the value; those that were not used for longest make room."""
        if value.nbytes > self._maximum_bytes or key in self._values:
            return
        self._values[key] = value
        self.nbytes += value.nbytes
        while self.nbytes > self._maximum_bytes:
            _, dropped = self._values.popitem(last=False)
            self.nbytes -= dropped.nbytes

    def clear(self) -> None:
        """Forget everything, counts too."""
        self._values.clear()
        self.nbytes = self.hits = self.misses = 0
