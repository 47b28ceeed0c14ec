# SPDX-License-Identifier: Apache-2.0
"""The engines: havre beside podman and docker."""
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import time

from measure import BUSYBOX, Contestant, Skip, measure

IMAGE = 'bench.example/true:latest'


def make_image(path):
    """A docker-archive with busybox as true, sleep and sh."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode='w') as t:
        for name in ('bin', 'proc', 'sys', 'dev', 'etc', 'tmp'):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            t.addfile(info)
        t.add(BUSYBOX, 'bin/busybox')
        for name in ('true', 'sleep', 'sh'):
            info = tarfile.TarInfo('bin/' + name)
            info.type, info.linkname = tarfile.SYMTYPE, 'busybox'
            t.addfile(info)
    import hashlib
    diff_id = hashlib.sha256(layer.getvalue()).hexdigest()
    config = json.dumps({'architecture': 'amd64', 'os': 'linux', 'config': {'Env': ['PATH=/bin'], 'Cmd': ['/bin/sh']},
                         'rootfs': {'type': 'layers', 'diff_ids': ['sha256:' + diff_id]}}).encode()
    config_name = hashlib.sha256(config).hexdigest() + '.json'
    manifest = json.dumps([{'Config': config_name, 'RepoTags': [IMAGE], 'Layers': [diff_id + '/layer.tar']}]).encode()
    with tarfile.open(path, 'w') as t:
        for name, data in ((config_name, config), (diff_id + '/layer.tar', layer.getvalue()), ('manifest.json', manifest)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))


def command(argv, timeout=120):
    p = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)
    if p.returncode != 0:
        lines = (p.stderr or p.stdout).strip().splitlines() or ['exit status %d' % p.returncode]
        raise Skip(lines[-1][:150])


def havre_engine(tmp, bins, image):
    havre = os.path.join(bins, 'havre')
    if not os.path.exists(havre):
        raise Skip('%s is not there' % havre)
    base = [havre, '--root', tmp + '/havre-root', '--run', tmp + '/havre-run']
    command(base + ['load', '-i', image])
    return base


def podman_engine(tmp, image):
    podman = shutil.which('podman')
    if not podman:
        raise Skip('not installed')
    base = [podman, '--root', tmp + '/podman-root', '--runroot', tmp + '/podman-run', '--tmpdir', tmp + '/podman-tmp',
            '--cgroup-manager', 'cgroupfs', '--events-backend', 'none', '--runtime', shutil.which('runc') or 'runc']
    command(base + ['load', '-i', image])
    # Without CAP_SYS_RESOURCE podman's own default limits cannot be set.
    return base, ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024']


def docker_stop(daemon):
    daemon.terminate()
    try:
        daemon.wait(30)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def docker_daemon(tmp, prefix=''):
    """A dockerd of our own: the command line to it, and its process for docker_stop."""
    dockerd, docker = shutil.which('dockerd'), shutil.which('docker')
    if not dockerd or not docker:
        raise Skip('dockerd or docker is not installed')
    base = '%s/%sdocker' % (tmp, prefix)
    socket = 'unix://%s.sock' % base
    with open(base + 'd.log', 'w') as log:
        daemon = subprocess.Popen([dockerd, '--bridge', 'none', '--iptables=false', '--data-root', base + '-root', '--exec-root',
                                   base + '-exec', '--pidfile', base + '.pid', '-H', socket],
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    client = [docker, '-H', socket]
    deadline = time.time() + 60
    while subprocess.run(client + ['info'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode != 0:
        if daemon.poll() is not None or time.time() > deadline:
            docker_stop(daemon)
            lines = open(base + 'd.log').read().strip().splitlines() or ['no output']
            raise Skip('dockerd does not start: ' + lines[-1][:150])
        time.sleep(0.1)
    return client, daemon


def docker_engine(tmp, image):
    client, daemon = docker_daemon(tmp)
    try:
        command(client + ['load', '-i', image])
    except Skip:
        docker_stop(daemon)
        raise
    return client, lambda: docker_stop(daemon)


def bench_engine(tmp, bins, runs, verdicts):
    image = os.path.join(tmp, 'image.tar')
    make_image(image)
    row, cleanup, havre = [], [], None
    run = ['run', '--rm', '--network', 'none']
    try:
        havre = havre_engine(tmp, bins, image)
        row.append(Contestant('havre', havre + run + [IMAGE, '/bin/true']))
    except (Skip, OSError) as e:
        print('  havre                    skipped: %s' % e)
    try:
        base, limits = podman_engine(tmp, image)
        row.append(Contestant('podman', base + run + limits + [IMAGE, '/bin/true']))
        cleanup.append(lambda: subprocess.run(base + ['system', 'reset', '--force'], stdout=subprocess.DEVNULL,
                                              stderr=subprocess.DEVNULL, check=False))
    except (Skip, OSError) as e:
        print('  podman                   skipped: %s' % e)
    try:
        docker, stop = docker_engine(tmp, image)
        row.append(Contestant('docker', docker + run + [IMAGE, '/bin/true']))
        cleanup.append(stop)
    except (Skip, OSError) as e:
        print('  docker                   skipped: %s' % e)
    try:
        results = measure('engine run --rm of true, no network', row, runs)
        verdicts.all_of(verdicts.ratio(results, 'havre', 'podman', 1 / 6, 'havre run --rm / podman run --rm'),
                        verdicts.ratio(results, 'havre', 'docker', 1 / 6, 'havre run --rm / docker run --rm'))
        if havre:
            bench_small(tmp, bins, havre, runs, verdicts)
    finally:
        for f in reversed(cleanup):
            f()


def monitor_pss(root):
    """Proportional memory of the havre-monitor that serves `root`, in kB."""
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            # Its executable is on a mount of its own, so that the link to it says nothing: it gives itself its name.
            name = open('/proc/%s/comm' % pid).read().strip()
            mine = root.encode() in open('/proc/%s/cmdline' % pid, 'rb').read() + \
                b' '.join(os.readlink('/proc/%s/fd/%s' % (pid, fd)).encode() for fd in os.listdir('/proc/%s/fd' % pid))
            if name == 'havre-monitor' and mine:
                rollup = open('/proc/%s/smaps_rollup' % pid).read()
                return int(re.search(r'^Pss:\s+(\d+)', rollup, re.M).group(1))
        except (OSError, AttributeError):
            continue
    return None


def bench_small(tmp, bins, havre, runs, verdicts):
    version = measure('start of the command line',
                      [Contestant('havre --version', [havre[0], '--version']), Contestant('true', ['/bin/true'])], runs)
    verdicts.value(version.get('havre --version', {}).get('paused'), 2, 'ms', 'havre --version')
    pss = None
    try:
        command(havre + ['run', '-d', '--name', 'bench-pss', '--network', 'none', IMAGE, '/bin/sleep', '1000'])
        time.sleep(0.5)
        pss = monitor_pss(tmp)
    except Skip as e:
        print('  havre-monitor            not measured: %s' % e)
    finally:
        subprocess.run(havre + ['rm', '-f', 'bench-pss'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    verdicts.value(pss, 400, 'kB', 'havre-monitor PSS')
