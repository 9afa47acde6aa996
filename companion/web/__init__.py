"""HTTP: who is there, say, do, and what an operator wants to see.

Nothing is imported here: who serves no HTTP does not pay for FastAPI.
"""
