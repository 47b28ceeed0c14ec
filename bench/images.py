# SPDX-License-Identifier: Apache-2.0
"""Images: pull, push, save, load and lists, havre beside podman, skopeo and docker.

What is measured once costs seconds, and most of it is processor and disk: a row shows the best of the runs and their median, processor
time (of the command itself: docker's is spent in its daemon) and peak memory. The registry is Debian's docker-registry on loopback.
"""
import gzip
import hashlib
import io
import json
import multiprocessing
import os
import re
import shutil
import socket
import statistics
import subprocess
import tarfile
import time

from engine import docker_daemon, docker_stop
from measure import Skip, tools

LAYERS = 8
LISTED = 1000


def digest(data):
    return 'sha256:' + hashlib.sha256(data).hexdigest()


# --- the images ---

def files_of(paths, wanted):
    """Regular files and links below, until there are `wanted` bytes."""
    total = 0
    for top in paths:
        for directory, names, files in os.walk(top):
            names.sort()
            for name in sorted(files):
                path = os.path.join(directory, name)
                if os.path.isfile(path) or os.path.islink(path):
                    total += 0 if os.path.islink(path) else os.path.getsize(path)
                    yield path
                if total >= wanted:
                    return


def make_layers(count, total):
    """`count` layers as (diff id, gzip), together of about `total` bytes of this machine's own programs."""
    files = list(files_of(['/usr/lib', '/usr/share', '/usr/bin', '/usr/sbin'], total))
    share = (len(files) + count - 1) // count
    for i in range(count):
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode='w', format=tarfile.PAX_FORMAT) as t:
            for path in files[i * share:(i + 1) * share]:
                t.add(path, recursive=False)
        data = plain.getvalue()
        yield digest(data), gzip.compress(data, 1, mtime=0)


def make_layout(path, count, total):
    """An OCI layout with one image, "image"; by another process, since it takes much memory."""
    maker = multiprocessing.Process(target=write_layout, args=(path, make_layers(count, total)))
    maker.start()
    maker.join()
    if maker.exitcode:
        raise Skip('the image could not be made')


def write_layout(path, layers):
    blobs = os.path.join(path, 'blobs/sha256')
    os.makedirs(blobs)

    def put(data):
        with open(os.path.join(blobs, digest(data)[7:]), 'wb') as f:
            f.write(data)
        return {'digest': digest(data), 'size': len(data)}
    diff_ids, entries = [], []
    for diff_id, data in layers:
        diff_ids.append(diff_id)
        entries.append({'mediaType': 'application/vnd.oci.image.layer.v1.tar+gzip', **put(data)})
    config = json.dumps({'architecture': 'amd64', 'os': 'linux', 'config': {},
                         'rootfs': {'type': 'layers', 'diff_ids': diff_ids}}).encode()
    manifest = json.dumps({'schemaVersion': 2, 'mediaType': 'application/vnd.oci.image.manifest.v1+json', 'layers': entries,
                           'config': {'mediaType': 'application/vnd.oci.image.config.v1+json', **put(config)}}).encode()
    index = {'schemaVersion': 2, 'manifests': [{'mediaType': 'application/vnd.oci.image.manifest.v1+json', **put(manifest),
                                                'annotations': {'org.opencontainers.image.ref.name': 'image'}}]}
    with open(os.path.join(path, 'index.json'), 'w') as f:
        json.dump(index, f)
    with open(os.path.join(path, 'oci-layout'), 'w') as f:
        f.write('{"imageLayoutVersion":"1.0.0"}')


def make_many(path, count):
    """A docker-archive of `count` images with one layer in common."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode='w') as t:
        info = tarfile.TarInfo('file')
        info.size = 5
        t.addfile(info, io.BytesIO(b'hello'))
    layer = layer.getvalue()
    name = digest(layer)[7:] + '.tar'
    files, manifest = [(name, layer)], []
    for i in range(count):
        config = json.dumps({'architecture': 'amd64', 'os': 'linux', 'config': {'Labels': {'n': str(i)}},
                             'rootfs': {'type': 'layers', 'diff_ids': [digest(layer)]}}).encode()
        files.append((digest(config)[7:] + '.json', config))
        manifest.append({'Config': files[-1][0], 'RepoTags': ['bench.example/n%d:latest' % i], 'Layers': [name]})
    files.append(('manifest.json', json.dumps(manifest).encode()))
    with tarfile.open(path, 'w') as t:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))


class Registry:
    def __init__(self, tmp, name):
        program = shutil.which('docker-registry')
        if not program:
            raise Skip('docker-registry is not installed')
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            port = s.getsockname()[1]
        self.host = '127.0.0.1:%d' % port
        config = os.path.join(tmp, name + '.yml')
        with open(config, 'w') as f:
            f.write('version: 0.1\nlog: {level: error}\nstorage:\n  cache: {blobdescriptor: inmemory}\n'
                    '  filesystem: {rootdirectory: %s/%s}\nhttp:\n  addr: %s\n' % (tmp, name, self.host))
        self.process = subprocess.Popen([program, 'serve', config], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                socket.create_connection(('127.0.0.1', port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise Skip('docker-registry does not answer')

    def stop(self):
        self.process.kill()
        self.process.wait()


# --- measuring ---

class Runner:
    """A command that is timed, and one before it that is not."""

    def __init__(self, name, argv, before=None):
        self.name, self.argv, self.before = name, argv, before
        self.times, self.cpu, self.peak, self.count = [], [], 0, 0

    def words(self, argv):
        return [a.replace('{n}', 'r%d' % self.count) for a in argv]

    def once(self):
        self.count += 1
        if self.before:
            subprocess.run(self.words(self.before), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           check=False)
        os.sync()
        begin = time.monotonic()
        p = subprocess.Popen([tools['peak']] + self.words(self.argv), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                             text=True)
        err = p.stderr.read()
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        p.stderr.close()
        peak = re.search(r'^peak (\d+)$', err, re.M)
        if p.returncode != 0:
            again = subprocess.run(self.words(self.argv), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            raise Skip((again.stderr.strip().splitlines() or ['exit status %d' % p.returncode])[-1][:150])
        self.times.append((time.monotonic() - begin) * 1000)
        self.cpu.append((usage.ru_utime + usage.ru_stime) * 1000)
        self.peak = max(self.peak, int(peak.group(1)) if peak else 0)


def take_turns(title, runners, runs):
    """{name: {'best': ms}} of those that work."""
    ready = list(runners)
    for _ in range(runs):
        for r in list(ready):
            try:
                r.once()
            except Skip as e:
                print('  %-24s skipped: %s' % (r.name, e))
                ready.remove(r)
    print('%s (best of %d, ms)' % (title, runs))
    print('  %-24s %9s %9s %9s %9s' % ('', 'best', 'median', 'user+sys', 'peak kB'))
    for r in ready:
        print('  %-24s %9.1f %9.1f %9.1f %9d' % (r.name, min(r.times), statistics.median(r.times), min(r.cpu), r.peak))
    print()
    return {r.name: {'best': min(r.times), 'peak': r.peak} for r in ready}


# --- the rows ---

class Bench:
    def __init__(self, tmp, bins):
        self.tmp = tmp
        self.havre = [os.path.join(bins, 'havre'), '--root', tmp + '/i-root', '--run', tmp + '/i-run']
        podman = shutil.which('podman')
        self.podman = [podman, '--root', tmp + '/i-podman', '--runroot', tmp + '/i-podman-run', '--tmpdir', tmp + '/i-podman-tmp',
                       '--events-backend', 'none'] if podman else None
        self.skopeo = shutil.which('skopeo')
        self.docker = self.daemon = None
        try:
            self.docker, self.daemon = docker_daemon(tmp, 'images-')
        except (Skip, OSError) as e:
            print('  docker                   skipped: %s' % e)

    def stop(self):
        if self.podman:
            subprocess.run(self.podman + ['system', 'reset', '--force'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        if self.daemon:
            docker_stop(self.daemon)

    def row(self, title, runs, words, before=None, skopeo=None):
        """The same words for all, with what podman needs for a registry without TLS."""
        before = before or {}
        runners = [Runner('havre', self.havre + words('havre'), before.get('havre') and self.havre + before['havre'])]
        if self.podman:
            runners.append(Runner('podman', self.podman + words('podman'), before.get('podman') and self.podman + before['podman']))
        if self.docker:
            runners.append(Runner('docker', self.docker + words('docker'), before.get('docker') and self.docker + before['docker']))
        if skopeo and self.skopeo:
            runners.append(Runner('skopeo', [self.skopeo] + skopeo[1], skopeo[0]))
        return take_turns(title, runners, runs)

    def pull(self, title, image, runs):
        def words(who):
            return ['pull', '-q'] + (['--tls-verify=false'] if who == 'podman' else []) + [image]
        gone = self.tmp + '/skopeo-{n}'
        return self.row('pull: ' + title, runs, words, dict.fromkeys(('havre', 'podman', 'docker'), ['rmi', '-f', image]),
                        (['true'], ['--insecure-policy', 'copy', '-q', '--src-tls-verify=false', 'docker://' + image, 'dir:' + gone]))


def verdict(verdicts, results, limit, what):
    """Against the best peer that does the same; skopeo only downloads, and unpacks nothing."""
    peers = [n for n in results if n in ('podman', 'docker')]
    if not peers or 'havre' not in results:
        verdicts.lines.append('%-52s not measured' % what)
        return
    best = min(peers, key=lambda n: results[n]['best'])
    one = {n: {'best': results[n]['best']} for n in ('havre', best)}
    verdicts.all_of(verdicts.ratio(one, 'havre', best, limit, '%s / %s' % (what, best)))


def bench_pull(b, registry, runs, verdicts):
    images = []
    for name, count, size in (('single', 1, 170 << 20), ('eight', LAYERS, 1 << 30)):
        layout = os.path.join(b.tmp, 'layout-' + name)
        make_layout(layout, count, size)
        image = '%s/%s:1' % (registry.host, name)
        subprocess.run(b.havre + ['image', 'copy', '-q', 'oci:%s:image' % layout, 'docker://' + image], check=True,
                       stdout=subprocess.DEVNULL)
        shutil.rmtree(layout)
        images.append(image)
    one = b.pull('170 MB in one gzip layer', images[0], runs)
    verdict(verdicts, one, 0.25, 'pull of one layer of 170 MB')
    eight = b.pull('1 GB in eight gzip layers', images[1], max(1, runs // 2))
    verdict(verdicts, eight, 0.2, 'pull of 1 GB in eight layers')
    verdicts.value(eight.get('havre', {}).get('peak'), 48 * 1024, 'kB', 'peak memory of that pull')
    b.row('pull of what is there', runs, lambda who: ['pull', '-q'] + (['--tls-verify=false'] if who == 'podman' else []) +
                  [images[0]])
    return images[0]


def bench_image(b, registry, image, runs, verdicts):
    to = registry.host + '/pushed-%s-{n}:1'

    def push(who):
        return ['push', '-q'] + (['--tls-verify=false'] if who == 'podman' else []) + [to % who]
    results = b.row('push of one layer of 170 MB to another registry', runs, push,
                    {who: ['tag', image, to % who] for who in ('havre', 'podman', 'docker')})
    verdict(verdicts, results, 0.5, 'push')
    out = os.path.join(b.tmp, 'saved-%s.tar')
    results = b.row('save', runs, lambda who: ['save', '-o', out % (who + '-{n}'), image])
    verdict(verdicts, results, 0.5, 'save')
    archive = out % 'havre-r1'
    results = b.row('load', runs, lambda who: ['load', '-q', '-i', archive],
                    {who: ['rmi', '-f', image] for who in ('havre', 'podman', 'docker')})
    verdict(verdicts, results, 0.5, 'load')


def bench_lists(b, runs, verdicts):
    archive = os.path.join(b.tmp, 'many.tar')
    make_many(archive, LISTED)
    for base in filter(None, (b.havre, b.docker)):  # podman takes many minutes to load them
        subprocess.run(base + ['load', '-q', '-i', archive], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    podman, b.podman = b.podman, None
    try:
        for words in (['images'], ['system', 'df']):
            results = b.row('%s of %d images' % (' '.join(words), LISTED), max(runs, 5), lambda who: words)
            verdicts.value(results.get('havre', {}).get('best'), 20, 'ms', '%s of %d images' % (' '.join(words), LISTED))
    finally:
        b.podman = podman


def bench_images(tmp, bins, runs, verdicts):
    runs = max(2, min(5, runs // 6))
    b = Bench(tmp, bins)
    registry = other = None
    try:
        registry, other = Registry(tmp, 'registry'), Registry(tmp, 'other-registry')
        image = bench_pull(b, registry, runs, verdicts)
        bench_image(b, other, image, runs, verdicts)
        bench_lists(b, runs, verdicts)
    except (Skip, OSError, subprocess.CalledProcessError) as e:
        print('  images                   skipped: %s' % e)
    finally:
        for one in filter(None, (registry, other)):
            one.stop()
        b.stop()
