#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures havre beside the runtimes and engines that are installed, in one run.

The contestants of a row take turns, so that a slow moment of the machine hits all of them. Every row is measured twice: back
to back, and with 50 ms pauses between commands, as a person types them (a tight loop hides waits in the kernel that
pauses show). Peers are optional: one that is missing or does not work here is skipped with its reason. Everything is made
below one temporary directory, and nothing is left behind.
"""
import argparse
import atexit
import os
import shutil
import signal
import sys
import tempfile

from engine import bench_engine
from images import bench_images
from measure import BUSYBOX, HERE, MNT_DETACH, Verdicts, build, libc, tools, version_line
from runtime import bench_runtime


def remove_tree(tmp):
    """Mounts that a crashed contestant left below are detached first: nothing is removed through them."""
    mounts = [line.split()[4] for line in open('/proc/self/mountinfo')]
    for point in sorted((m for m in mounts if m.startswith(tmp + '/')), reverse=True):
        libc.umount2(point.encode(), MNT_DETACH)
    shutil.rmtree(tmp, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description='Measure havre beside crun, runc, podman and docker.')
    parser.add_argument('--runs', type=int, default=30, help='runs of each command and way of measuring (30)')
    parser.add_argument('--bin', default=os.path.join(HERE, '../build/bin'), help='directory of our programs')
    parser.add_argument('--only', choices=('runtime', 'engine', 'images'), help='one part of it')
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit('bench: needs root: it makes containers')
    if not os.path.exists(BUSYBOX):
        sys.exit('bench: needs %s (Debian: busybox-static)' % BUSYBOX)
    bins = os.path.abspath(options.bin)
    tmp = tempfile.mkdtemp(prefix='havre-bench-')
    atexit.register(remove_tree, tmp)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    tools.update(peak=build(tmp, 'peak'), spawn=build(tmp, 'spawn'))
    if not tools['spawn']:
        sys.exit('bench: needs a C compiler')
    verdicts = Verdicts()
    print('%s, %d processors' % (' '.join(os.uname()[i] for i in (0, 2, 4)), os.cpu_count()))
    for name in ('podman', 'dockerd'):
        if shutil.which(name):
            print('%-8s %s' % (name, version_line(shutil.which(name))))
    try:
        if options.only in (None, 'runtime'):
            bench_runtime(tmp, bins, options.runs, verdicts)
        if options.only in (None, 'engine'):
            bench_engine(tmp, bins, options.runs, verdicts)
        if options.only in (None, 'images'):
            bench_images(tmp, bins, options.runs, verdicts)
    except KeyboardInterrupt:
        sys.exit(130)
    print('\n'.join(verdicts.lines))
    sys.exit(1 if verdicts.failed else 0)


if __name__ == '__main__':
    main()
