"""What is kept: answers, claims on budgets, what is known of backends."""

from companion.store.answers import KEPT_MAX, Store, StoreError, Total
from companion.store.row import Row

__all__ = ["KEPT_MAX", "Row", "Store", "StoreError", "Total"]
