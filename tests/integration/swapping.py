# SPDX-License-Identifier: Apache-2.0
"""The attacker of the race tests: a second process that swaps paths for as long as a block of code runs."""

import contextlib
import signal
import subprocess
import time


class Attack:
    def __init__(self, seconds, rounds):
        self.deadline, self.rounds, self.done, self.swaps = time.monotonic() + seconds, rounds, 0, 0

    def __iter__(self):
        """Rounds of the attack: at most so many, and none is begun after the time is up, but always a tenth of them."""
        while self.done < self.rounds and (self.done < self.rounds / 10 or time.monotonic() < self.deadline):
            self.done += 1
            yield self.done


@contextlib.contextmanager
def swapping(t, *pairs, pause_us=200, rounds=60, seconds=5):
    """While the block runs each pair of paths is exchanged in a loop. Afterwards .swaps says how often, and that it was often enough."""
    paths = [str(p) for pair in pairs for p in pair]
    process = t.start([t.build / "tests/tools/swapper", pause_us, *paths], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"swapping\n"
    attack = Attack(seconds, rounds)
    try:
        yield attack
    finally:
        process.send_signal(signal.SIGTERM)
        attack.swaps = int(process.stdout.read())
        process.wait()
    assert attack.swaps > 10 * attack.done, f"only {attack.swaps} swaps in {attack.done} rounds"
