"""The line protocol between the benchmark runner and a peer written in Python; see README.md for its words."""

import json
import os
import re
import sys
import time

THREADS = int(os.environ.get("BENCH_THREADS", "1"))
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, str(THREADS))

# Replies have a channel of their own; whatever a library prints goes to stderr.
_replies = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)


def missing(reason):
    """Says that this peer cannot run here, and ends."""
    _replies.write("missing " + re.sub(r"(?<!\w)(/[\w.+-]+)+", "...", str(reason)).replace("\n", " ") + "\n")
    sys.exit(0)


def serve(name, version, entries, **more):
    """Answers `run N entry` until stdin ends.

    entries maps an id such as `train/eager` to a function that prepares it, warms it up and gives `run(n)`; run does at least n steps, waits
    for their end, and returns (steps done, loss or None).
    """
    info = {"name": name, "version": version, "threads": THREADS, "entries": list(entries), **more}
    _replies.write("ready " + json.dumps(info) + "\n")
    prepared = {}
    for line in sys.stdin:
        words = line.split()
        if not words:
            continue
        if words[0] != "run":
            break
        entry = " ".join(words[2:]) or next(iter(entries))
        try:
            if entry not in prepared:
                prepared[entry] = entries[entry]()
            start = time.perf_counter()
            steps, loss = prepared[entry](int(words[1]))
            reply = {"ms": (time.perf_counter() - start) * 1e3, "steps": steps, "loss": loss}
        except Exception as error:  # One entry that fails must not take the others with it.
            reply = {"error": re.sub(r"(?<!\w)(/[\w.+-]+)+", "...", f"{type(error).__name__}: {error}")[:300]}
        _replies.write(json.dumps(reply) + "\n")
