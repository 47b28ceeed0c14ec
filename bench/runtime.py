# SPDX-License-Identifier: Apache-2.0
"""The low-level runtimes: havre-runtime beside crun, runc and the floor."""
import json
import os
import shutil
import subprocess

import peers
from measure import HERE, Contestant, all_at_once, build, make_rootfs, measure, peak_memory, private_mounts, version_line


def spec(rootfs, seccomp=None):
    def mount(destination, kind, options):
        return {'destination': destination, 'type': kind, 'source': kind, 'options': options}
    capabilities = ['CAP_AUDIT_WRITE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE']
    config = {
        'ociVersion': '1.0.2',
        'process': {'terminal': False, 'user': {'uid': 0, 'gid': 0}, 'args': ['/bin/true'], 'cwd': '/',
                    'env': ['PATH=/bin'], 'noNewPrivileges': True,
                    'capabilities': {k: capabilities for k in ('bounding', 'effective', 'permitted')}},
        'root': {'path': rootfs, 'readonly': False},
        'hostname': 'bench',
        'mounts': [
            mount('/proc', 'proc', []),
            mount('/dev', 'tmpfs', ['nosuid', 'strictatime', 'mode=755', 'size=65536k']),
            mount('/dev/pts', 'devpts', ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5']),
            mount('/dev/shm', 'tmpfs', ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k']),
            mount('/dev/mqueue', 'mqueue', ['nosuid', 'noexec', 'nodev']),
            mount('/sys', 'sysfs', ['nosuid', 'noexec', 'nodev', 'ro'])],
        'linux': {
            'resources': {'devices': [{'allow': False, 'access': 'rwm'}]},
            'namespaces': [{'type': t} for t in ('pid', 'network', 'ipc', 'uts', 'mount', 'cgroup')],
            'maskedPaths': ['/proc/kcore', '/proc/keys', '/proc/timer_list'],
            'readonlyPaths': ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']},
    }
    if seccomp:
        config['linux']['seccomp'] = seccomp
    return config


def profile():
    """A profile of the usual size: the rules of our default profile that need no capability."""
    rules = json.load(open(os.path.join(HERE, '../data/seccomp-default.json')))['rules']
    syscalls = []
    for rule in rules:
        if 'capabilities' in rule or 'architectures' in rule or 'args' in rule:
            continue
        syscalls.append({k: v for k, v in rule.items() if k in ('names', 'errnoRet')} |
                        {'action': rule.get('action', 'SCMP_ACT_ALLOW')})
    syscalls.append({'names': ['socket', 'clone', 'arch_prctl'], 'action': 'SCMP_ACT_ALLOW',
                     'args': [{'index': 0, 'value': 40, 'op': 'SCMP_CMP_NE'}]})
    return {'defaultAction': 'SCMP_ACT_ERRNO', 'architectures': ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
            'syscalls': syscalls}


def make_bundle(tmp, name, rootfs, seccomp=None, args=None, memory=None):
    bundle = os.path.join(tmp, name)
    os.makedirs(bundle)
    config = spec(rootfs, seccomp)
    if args:
        config['process']['args'] = args
    if memory:
        config['linux']['resources']['memory'] = {'limit': memory}
    json.dump(config, open(os.path.join(bundle, 'config.json'), 'w'))
    return bundle


class Runtime:
    def __init__(self, tmp, name, path, env=None, prepare=None, note=''):
        self.name, self.path, self.env, self.prepare, self.note = name, path, env or dict(os.environ), prepare, note
        self.base = [path, '--root', os.path.join(tmp, 'state-' + self.word())]

    def word(self):
        return ''.join(c if c.isalnum() else '-' for c in self.name)

    def id(self):
        return 'bench-%s-{n}' % self.word()

    def contestant(self, *steps):
        return Contestant(self.name, *[self.base + step for step in steps], env=self.env, prepare=self.prepare, note=self.note)

    def quietly(self, *args):
        return subprocess.run(self.base + list(args), env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, preexec_fn=self.prepare, check=False).returncode


def find_runtimes(tmp, ours):
    """havre-runtime, the newest crun and runc that can be had, and those that are installed."""
    out = []
    if os.path.exists(ours):
        out.append(Runtime(tmp, 'havre-runtime', ours))
    else:
        print('  havre-runtime            skipped: %s is not there' % ours)
    unified = '/sys/fs/cgroup/unified' if os.path.ismount('/sys/fs/cgroup/unified') else None
    try:
        newest = peers.newest()
    except (peers.Unavailable, OSError, subprocess.TimeoutExpired) as e:
        print('  the newest peers         skipped: %s' % e)
        newest = {}
    for name in ('crun', 'runc'):
        without = unified if name == 'crun' else None
        note = '(no cgroup2 mount)' if without else ''
        peer, path = newest.get(name), shutil.which(name)
        if peer:
            out.append(Runtime(tmp, name, peer.path, peer.env, lambda w=without, o=peer.over: private_mounts(w, o), note))
            print('%-8s %s' % (name, version_line(out[-1].path, peer.env, out[-1].prepare)))
        if path:
            installed = name + ' (installed)' if peer else name
            out.append(Runtime(tmp, installed, path, prepare=(lambda w=without: private_mounts(w)) if without else None, note=note))
            print('%-8s %s' % (installed, version_line(path)))
        if not peer and not path:
            print('  %-24s skipped: not installed' % name)
    print()
    return out


def bench_runtime(tmp, bins, runs, verdicts):
    rootfs = os.path.join(tmp, 'rootfs')
    make_rootfs(rootfs)
    found = find_runtimes(tmp, os.path.join(bins, 'havre-runtime'))
    floor = build(tmp, 'floor')
    if not floor:
        print('  floor                    skipped: no C compiler')

    def run_row(title, bundle):
        row = [r.contestant(['run', '--bundle', bundle, r.id()]) for r in found]
        if floor:
            row.append(Contestant('floor', [floor, rootfs, 'havre-bench-floor-{n}', '/bin/true']))
        return measure(title, row, runs), {c.name: getattr(c, 'calls', None) for c in row}

    plain = make_bundle(tmp, 'plain', rootfs)
    results, calls = run_row('low-level run of true', plain)
    ours = 'havre-runtime'
    verdicts.either(verdicts.ratio(results, ours, 'crun', 0.6, 'run / crun run (this or the next)'),
                    verdicts.ratio(results, ours, 'runc', 0.25, 'run / runc run (or the one above)'))
    verdicts.value(calls.get(ours), 200, 'calls', 'system calls of run')
    results, _ = run_row('the same with a seccomp profile', make_bundle(tmp, 'strict', rootfs, profile()))
    verdicts.all_of(verdicts.ratio(results, ours, 'floor', 1.6, 'run with the default seccomp profile / floor'),
                    verdicts.ratio(results, ours, 'crun', 0.45, 'run with the default seccomp profile / crun'),
                    verdicts.ratio(results, ours, 'runc', 0.2, 'run with the default seccomp profile / runc'))
    bench_seccomp(tmp, bins, rootfs, verdicts)
    results = measure('low-level create, start and delete of true', [
        r.contestant(['create', '--bundle', plain, r.id()], ['start', r.id()], ['delete', '--force', r.id()]) for r in found], runs)
    verdicts.ratio(results, ours, 'crun', 0.6, 'create, start, delete / crun (for information)')
    sleeping = make_bundle(tmp, 'long', rootfs, args=['/bin/sleep', '1000'])
    bench_exec(sleeping, found, runs, verdicts)
    bench_parallel(tmp, rootfs, sleeping, found, verdicts)
    bench_memory(tmp, rootfs, sleeping, found, verdicts)


def one_by_one(seccomp):
    """The same profile with an object for each rule, as profiles that programs write have it."""
    rules = [dict(rule, names=[name]) for rule in seccomp['syscalls'] for name in rule['names']]
    return dict(seccomp, syscalls=rules)


def bench_seccomp(tmp, bins, rootfs, verdicts):
    """A profile from JSON to the loaded filter, in our own library: nothing of a container around it."""
    program = os.path.join(bins, '../src/runtime/bench_seccomp')
    if not os.path.exists(program):
        print('  seccomp profile          skipped: %s is not there\n' % program)
        return
    print('seccomp profile of %d rules, from JSON to loaded (medians, µs)' % sum(len(r['names']) for r in profile()['syscalls']))
    print('  %-24s %9s %9s %9s %9s %13s' % ('', 'parse', 'compile', 'load', 'total', 'instructions'))
    for name, seccomp in (('by action', profile()), ('an object for each', one_by_one(profile()))):
        bundle = make_bundle(tmp, 'seccomp-' + name.replace(' ', '-'), rootfs, seccomp)
        out = subprocess.run([program, os.path.join(bundle, 'config.json'), '500'], capture_output=True, text=True, check=True)
        row = [int(x) for x in out.stdout.split()]
        print('  %-24s %9d %9d %9d %9d %13d' % (name, *row))
        if name == 'by action':
            verdicts.value(row[3] / 1000, 0.3, 'ms', 'a seccomp profile from JSON to loaded')
    print()


def bench_exec(bundle, found, runs, verdicts):
    row, started = [], []
    for r in found:
        ident = r.id().replace('{n}', 'exec-%d' % os.getpid())
        started.append((r, ident))
        if r.quietly('run', '--detach', '--bundle', bundle, ident) != 0:
            print('  %-24s skipped: cannot start a container for exec' % r.name)
            continue
        row.append(r.contestant(['exec', ident, '/bin/true']))
    try:
        results = measure('low-level exec of true', row, runs)
        verdicts.all_of(verdicts.ratio(results, 'havre-runtime', 'crun', 0.45, 'exec / crun exec'))
    finally:
        for r, ident in started:
            r.quietly('delete', '--force', ident)


def bench_parallel(tmp, rootfs, bundle, found, verdicts, count=50):
    """How long many containers at once take, on one processor and on all; beside them what the kernel and the machine allow."""
    cpus = sorted(os.sched_getaffinity(0))
    tag = 'bench-many-%d-{i}' % os.getpid()
    rows = [(r.name, r.base + ['create', '--bundle', bundle, tag], r.base + ['delete', '--force', tag], r.env, r.prepare, r.note)
            for r in found]
    for name, args, note in (('floor', [rootfs, 'havre-' + tag, '/bin/true'], '(runs)'), ('arithmetic', [], '')):
        path = build(tmp, {'floor': 'floor', 'arithmetic': 'spin'}[name])
        rows.append((name, [path] + args, None, dict(os.environ), None, note))
    print('%d creates at once (seconds, the best of three)' % count)
    print('  %-24s %9s %9s %9s' % ('', '1 core', '%d cores' % len(cpus), 'ratio'))
    ratios = {}
    for name, create, delete, env, prepare, note in rows:
        times, failed = {1: [], len(cpus): []}, 0
        for few in 3 * [{cpus[0]}, set(cpus)]:
            try:
                seconds, bad = all_at_once(create, count, env, prepare, few)
                times[len(few)].append(seconds)
                failed += bad
            finally:
                if delete:
                    all_at_once(delete, count, env, prepare, set(cpus))
        one, many = min(times[1]), min(times[len(cpus)])
        ratios[name] = one / many if not failed else None
        print('  %-24s %9.3f %9.3f %9.2f %s' % (name, one, many, one / many, '(%d failed)' % failed if failed else note))
    print()
    if len(cpus) > 1 and 'havre-runtime' in ratios:
        # Namespaces, mounts and control groups have locks of the whole kernel: what the floor does not reach, nobody does.
        wanted = 0.7 * min(len(cpus), 4)
        if ratios['floor'] and ratios['floor'] < wanted:
            print('The floor program itself scales %.2f times: that is the limit for %d creates, not %.2f.\n'
                  % (ratios['floor'], count, wanted))
            wanted = 0.95 * ratios['floor']
        verdicts.at_least(ratios['havre-runtime'], wanted, '%d creates: 1 core / %d cores' % (count, len(cpus)))


def bench_memory(tmp, rootfs, bundle, found, verdicts):
    small = make_bundle(tmp, 'small', rootfs, memory=512 << 10)
    starts, peak = {}, {}
    print('memory')
    print('  %-24s %14s   %s' % ('', 'create, peak kB', 'run in 512 KiB'))
    for r in found:
        c = r.contestant(['create', '--bundle', bundle, r.id()])
        try:
            peak[r.name] = peak_memory(c)
        finally:
            r.quietly('delete', '--force', c.numbered([r.id()], 'once')[0])
            c.close()
        ident = r.id().replace('{n}', 'small-%d' % os.getpid())
        starts[r.name] = r.quietly('run', '--bundle', small, ident) == 0
        r.quietly('delete', '--force', ident)
        print('  %-24s %14s   %s' % (r.name, peak[r.name] or '-', 'starts' if starts[r.name] else 'does not start'))
    print()
    verdicts.value(peak.get('havre-runtime'), 1600, 'kB', 'peak memory of create')
    if starts.get('crun') and 'havre-runtime' in starts:
        verdicts.all_of(verdicts.yes(starts['havre-runtime'], 'starts in 512 KiB, where crun does'))
