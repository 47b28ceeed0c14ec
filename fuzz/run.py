#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every libFuzzer target of a build directory for its share of the time: run.py BUILD-DIR SECONDS. A crash, a leak, a slow or a
greedy input fails, and its file stays in BUILD-DIR/findings: make it a seed when it is fixed."""

import os
import subprocess
import sys
import time
from pathlib import Path


def main():
    build, seconds = Path(sys.argv[1]).resolve(), int(sys.argv[2])
    seeds = Path(__file__).resolve().parent / "seeds"
    targets = sorted(p for p in (build / "fuzz").glob("fuzz_*") if p.is_file() and os.access(p, os.X_OK))
    if not targets:
        sys.exit(f"fuzz/run.py: no fuzz targets in {build}")
    jobs = os.cpu_count() or 1
    share = max(1, seconds * jobs // len(targets))
    findings = build / "findings"
    findings.mkdir(exist_ok=True)
    running, waiting, failed = {}, list(targets), 0
    while waiting or running:
        while waiting and len(running) < jobs:
            target = waiting.pop(0)
            name = target.name.removeprefix("fuzz_")
            corpus = build / "corpus" / name
            corpus.mkdir(parents=True, exist_ok=True)
            log = open(build / f"{target.name}.log", "w+")
            command = [target, f"-max_total_time={share}", "-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1",
                       f"-artifact_prefix={findings}/{name}-", corpus]
            if (seeds / name).is_dir():
                command.append(seeds / name)
            running[name] = (subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log), log)
        for name, (process, log) in list(running.items()):
            if process.poll() is None:
                continue
            del running[name]
            log.seek(0)
            text = log.read()
            log.close()
            runs = [line.split()[-1] for line in text.splitlines() if line.startswith("stat::number_of_executed_units")]
            if process.returncode == 0:
                print(f"ok    {name}: {runs[-1] if runs else '?'} runs in {share} s", flush=True)
            else:
                failed += 1
                print(f"FAIL  {name} (status {process.returncode})\n" + "\n".join("      | " + x for x in text.splitlines()[-60:]), flush=True)
        time.sleep(0.1)
    print(f"{len(targets) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
