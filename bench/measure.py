# SPDX-License-Identifier: Apache-2.0
"""Running commands in turns and timing them, and the verdicts about what was measured."""
import ctypes
import os
import re
import shutil
import statistics
import struct
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUSYBOX = '/bin/busybox'
CLONE_NEWNS = 0x00020000
MS_BIND = 0x1000
MS_REC_PRIVATE = 0x44000
MNT_DETACH = 2
libc = ctypes.CDLL(None, use_errno=True)
tools = {'peak': None, 'spawn': None}  # the built bench/peak.c and spawn.c


class Skip(Exception):
    pass


# --- measuring ---

class Spawner:
    """bench/spawn.c, which times commands without what Python costs; `prepare` is called in it first."""

    def __init__(self, env, prepare=None):
        self.process = subprocess.Popen([tools['spawn']], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        preexec_fn=prepare, start_new_session=True)

    def run(self, argv, count=1):
        """Seconds, how many failed, the last one's exit status."""
        request = b''.join(os.fsencode(a) + b'\0' for a in [str(count)] + list(argv))
        self.process.stdin.write(struct.pack('=I', len(request)) + request)
        self.process.stdin.flush()
        reply = self.process.stdout.readline().split()
        if len(reply) != 3:
            raise Skip('the spawner ended')
        return int(reply[0]) / 1e9, int(reply[1]), int(reply[2])

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def private_mounts(without=None, over=()):
    """A mount namespace of our own: without a mount (crun refuses to start where it sees a cgroup2 mount beside v1), and with
    files bound over others, (from, over)."""
    if libc.unshare(CLONE_NEWNS) or libc.mount(None, b'/', None, MS_REC_PRIVATE, None):
        raise OSError(ctypes.get_errno(), 'cannot make a mount namespace')
    if without:
        libc.umount2(without.encode(), MNT_DETACH)
    for source, target in over:
        if libc.mount(source.encode(), target.encode(), None, MS_BIND, None):
            raise OSError(ctypes.get_errno(), 'cannot bind %s' % target)


class Contestant:
    """A command line, or several one after the other, run by a small process of its own (that may live in another mount namespace)."""

    def __init__(self, name, *steps, env=None, prepare=None, note=''):
        self.name, self.steps, self.note = name, steps, note
        self.env = dict(os.environ if env is None else env)
        self.prepare = prepare
        self.times = {}
        self.count = 0
        self.spawner = Spawner(self.env, prepare)

    def numbered(self, step, tag):
        return [a.replace('{n}', '%d-%s' % (os.getpid(), tag)) for a in step]

    def run(self):
        self.count += 1
        elapsed = status = 0
        for step in self.steps:
            seconds, _, status = self.spawner.run(self.numbered(step, self.count))
            elapsed += seconds
            if status != 0:
                break
        return elapsed, status

    def check(self):
        """Runs once, and tells why it does not work."""
        _, status = self.run()
        if status != 0:
            p = subprocess.run(self.numbered(self.steps[0], 'check'), env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
                               text=True, timeout=120, preexec_fn=self.prepare, check=False)
            lines = (p.stderr or p.stdout).strip().splitlines() or ['exit status %d' % status]
            raise Skip(lines[-1][:150])

    def close(self):
        self.spawner.close()


def percentile(values, p):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * p))]


def once(contestant, before):
    """One more run of the (first) command behind another program; its stderr."""
    try:
        return subprocess.run(before + contestant.numbered(contestant.steps[0], 'once'), env=contestant.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120, preexec_fn=contestant.prepare,
                              check=False).stderr.decode(errors='replace')
    except (subprocess.TimeoutExpired, OSError):
        return ''


def system_calls(contestant):
    """How many system calls one run makes, all its processes together; None without strace."""
    if not shutil.which('strace'):
        return None
    with tempfile.NamedTemporaryFile() as out:
        once(contestant, ['strace', '-f', '-qq', '-o', out.name])
        return sum(1 for line in out.read().decode(errors='replace').splitlines()
                   if 'resumed>' not in line and re.match(r'\d+ +\w+\(', line))


def peak_memory(contestant):
    """Largest resident size of any of its processes that it waited for, in kB."""
    found = re.search(r'^peak (\d+)$', once(contestant, [tools['peak']]), re.M) if tools['peak'] else None
    return int(found.group(1)) if found else None


def shown(value):
    return '-' if value is None else str(value)


def measure(title, contestants, runs):
    ready = []
    for c in contestants:
        try:
            c.check()
            ready.append(c)
        except (Skip, subprocess.TimeoutExpired, OSError) as e:
            print('  %-24s skipped: %s' % (c.name, e))
    for mode, pause in (('back to back', 0), ('paused', 0.05)):
        for c in ready:
            c.run()
            c.times[mode] = []
        for _ in range(runs):
            for c in ready:
                if pause:
                    time.sleep(pause)
                elapsed, status = c.run()
                if status == 0:
                    c.times[mode].append(elapsed * 1000)
    print('%s (%d runs each, ms)' % (title, runs))
    print('  %-24s %9s %9s | %9s %9s | %9s %8s' % ('', 'median', 'p90', 'paused', 'p90', 'peak kB', 'syscalls'))
    for c in ready:
        fast, slow = c.times['back to back'], c.times['paused']
        if not fast or not slow:
            print('  %-24s failed while it was measured' % c.name)
            continue
        single = len(c.steps) == 1
        c.calls = system_calls(c) if single else None
        print('  %-24s %9.2f %9.2f | %9.2f %9.2f | %9s %8s %s' %
              (c.name, statistics.median(fast), percentile(fast, 0.9), statistics.median(slow), percentile(slow, 0.9),
               shown(peak_memory(c) if single else None), shown(c.calls), c.note))
    print()
    for c in contestants:
        c.close()
    return {c.name: {m: statistics.median(t) for m, t in c.times.items() if t} for c in ready}


def all_at_once(argv, count, env, prepare, cpus):
    """Seconds that `count` of the command ("{i}" in it is a number) take side by side on these processors, and how many failed."""
    spawner = Spawner(env, prepare)
    try:
        os.sched_setaffinity(spawner.process.pid, cpus)
        return spawner.run(argv, count)[:2]
    finally:
        spawner.close()


class Verdicts:
    def __init__(self):
        self.lines = []
        self.failed = False

    def ratio(self, results, ours, theirs, limit, what):
        """Both ways of measuring have to be within the limit."""
        if ours not in results or theirs not in results:
            self.lines.append('%-52s not measured' % what)
            return None
        both = [m for m in results[ours] if m in results[theirs]]
        if not both:
            self.lines.append('%-52s not measured' % what)
            return None
        worst = max(results[ours][m] / results[theirs][m] for m in both)
        met = worst <= limit
        self.lines.append('%-52s %6.3f  wanted <= %.3f  %s' % (what, worst, limit, 'met' if met else 'NOT met'))
        return met

    def value(self, value, limit, unit, what):
        met = value is not None and value <= limit
        shown = 'not measured' if value is None else '%6.2f %s' % (value, unit)
        self.lines.append('%-52s %s  wanted <= %g %s  %s' % (what, shown, limit, unit, 'met' if met else 'NOT met'))
        self.failed |= not met

    def at_least(self, value, limit, what):
        met = value is not None and value >= limit
        text = 'not measured' if value is None else '%6.3f' % value
        self.lines.append('%-52s %s  wanted >= %.3f  %s' % (what, text, limit, 'met' if met else 'NOT met'))
        self.failed |= not met

    def yes(self, met, what):
        self.lines.append('%-52s %s' % (what, 'met' if met else 'NOT met'))
        return met

    def either(self, first, second):
        """runc's or crun's ratio: one of them has to be met."""
        if first is None and second is None:
            return
        self.failed |= not (first or second)

    def all_of(self, *results):
        self.failed |= any(r is False for r in results)


def build(tmp, name):
    compiler = shutil.which('cc') or shutil.which('gcc')
    if not compiler:
        return None
    out = os.path.join(tmp, name)
    subprocess.run([compiler, '-O2', '-static', '-o', out, os.path.join(HERE, name + '.c')], check=True)
    return out


def make_rootfs(path):
    for name in ('bin', 'proc', 'sys', 'dev', 'etc', 'tmp'):
        os.makedirs(os.path.join(path, name))
    shutil.copy(BUSYBOX, os.path.join(path, 'bin/busybox'))
    for name in ('true', 'sleep', 'sh'):
        os.symlink('busybox', os.path.join(path, 'bin', name))


def version_line(path, env=None, prepare=None):
    p = subprocess.run([path, '--version'], env=env, preexec_fn=prepare, capture_output=True, text=True, check=False)
    return (p.stdout.splitlines() or ['?'])[0]
