"""Who is asked, in which order and why; then asking them under one deadline."""

from companion.router.run import *  # noqa: F403
