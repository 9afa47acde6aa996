"""Who can answer an ask. One module or package a kind, all behind ``base.Backend``.

Nothing is imported here: a companion without models must not pay for a model's SDK.
"""
