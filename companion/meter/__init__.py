"""What answers cost: prices, amounts, budgets."""

from companion.meter.money import NANO_PER_USD, Prices, Tier, cost_nano_usd, most_nano_usd, usd

__all__ = ["NANO_PER_USD", "Prices", "Tier", "cost_nano_usd", "most_nano_usd", "usd"]
