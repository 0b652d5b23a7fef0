# SPDX-License-Identifier: BSD-3-Clause
"""Whatever takes over two seconds says so: one `# ...` line on stderr, and again now and then."""

import contextlib
import sys
import threading
import time

FIRST_S = 2
AGAIN_S = 15

_lock = threading.Lock()
_running = {}  # key -> [text, started, next line due]
_thread = None


def note(text):
    print(f"# {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def activity(text):
    """Shows `text` while the block runs, if it runs long. Yields a function that changes the text."""
    key = object()
    begin(key, text)
    try:
        yield lambda changed: _change(key, changed)
    finally:
        end(key)


def begin(key, text):
    global _thread
    now = time.monotonic()
    with _lock:
        _running[key] = [text, now, now + FIRST_S]
        if _thread is None:
            _thread = threading.Thread(target=_beat, daemon=True)
            _thread.start()


def end(key):
    with _lock:
        _running.pop(key, None)


def _change(key, text):
    with _lock:
        _running[key][0] = text


def _beat():
    while True:
        time.sleep(0.5)
        now = time.monotonic()
        with _lock:
            due = [entry for entry in _running.values() if entry[2] <= now]
            for entry in due:
                entry[2] = now + AGAIN_S
        for text, started, _ in due:
            note(f"{text} ({now - started:.0f} s)")
