"""CommandError: what a command tells a person when it cannot go on."""


class CommandError(Exception):
    """One line that says what went wrong and what to do about it."""
