"""Waiting for something to become true: by looking often, never by sleeping and hoping."""
import time


class Late(AssertionError):
    pass


def until(look, what, timeout=30.0, every=0.02):
    """The first truthy result of look(). Late, naming what was waited for and the last result, after timeout seconds."""
    deadline = time.monotonic() + timeout
    while True:
        result = look()
        if result:
            return result
        if time.monotonic() >= deadline:
            text = what() if callable(what) else what
            raise Late(f"not within {timeout:g} s: {text} (the last look gave {result!r})")
        time.sleep(every)
