"""Points: names that people give to pins. Kept on flash, a copy of the table in RAM."""

from micropython import const

MAX_POINTS = 64
_MAX_NAME_BYTES = const(24)

_PREFIX = "p:"


class Points:
    def __init__(self, store):
        self._store = store
        self._table = {}  # name -> (gpio, output)
        self.version = 0  # grows with each change, for `state`
        for name in store.keys(_PREFIX):
            gpio, output = store.get(_PREFIX + name)
            self._table[name] = (gpio, bool(output))

    def get(self, name):
        """`(gpio, output)` or None."""
        return self._table.get(name)

    def names(self):
        return sorted(self._table)

    def name_of(self, gpio):
        for name, point in self._table.items():
            if point[0] == gpio:
                return name
        return None

    def set(self, name, gpio, output):
        """Returns the record as it stands on flash. Raises `store.StoreFull`."""
        self._store.set(_PREFIX + name, [gpio, 1 if output else 0])
        gpio, output = self._store.get(_PREFIX + name)
        self._table[name] = (gpio, bool(output))
        self.version += 1
        return self._table[name]

    def delete(self, name):
        if name not in self._table:
            return False
        self._store.delete(_PREFIX + name)
        del self._table[name]
        self.version += 1
        return True

    def full(self, name):
        return name not in self._table and len(self._table) >= MAX_POINTS
