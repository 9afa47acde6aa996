"""What is kept: answers, claims on budgets, what is known of backends."""

from companion.store.batch import KEPT_MAX
from companion.store.driver import Away, StoreError
from companion.store.health import Health, HealthRow
from companion.store.ledger import Counted, Ledger
from companion.store.row import Row
from companion.store.store import Store, Total
from companion.store.tokens import TokenRow, Tokens

__all__ = [
    "KEPT_MAX",
    "Away",
    "Counted",
    "Health",
    "HealthRow",
    "Ledger",
    "Row",
    "Store",
    "StoreError",
    "TokenRow",
    "Tokens",
    "Total",
]
