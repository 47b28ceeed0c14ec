# SPDX-License-Identifier: Apache-2.0
"""The newest crun and runc of Debian's unstable suite, unpacked but not installed.

They are fetched with the machine's own apt, its mirror and its keys, under a private configuration (its own lists, its own idea of what is
installed: nothing), with all the libraries they need, into the tests' cache. Their programs want the C library of their suite: whoever
runs them gets the loader and the libraries bound over the machine's, in a mount namespace of its own, and LD_LIBRARY_PATH for those
that the machine does not have. (Started by the loader they would not work: crun executes /proc/self/exe; runc drops the environment.)
"""
import fcntl
import glob
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../tests'))
from lib.debian import cache_directory  # noqa: E402

PACKAGES = ('crun', 'runc')
CONFIG = '''
Dir::State "{dir}/state";
Dir::State::status "{dir}/status";
Dir::Cache "{dir}/cache";
Dir::Etc::sourcelist "{dir}/sources.list";
Dir::Etc::sourceparts "{dir}/none";
Dir::Etc::preferences "{dir}/preferences";
Dir::Etc::preferencesparts "{dir}/none";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
Acquire::Retries "2";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
'''


class Unavailable(Exception):
    pass


def run(*argv, **more):
    p = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False, **more)
    if p.returncode != 0:
        lines = (p.stderr or p.stdout).strip().splitlines() or ['exit status %d' % p.returncode]
        raise Unavailable('%s: %s' % (argv[0], lines[-1][:150]))
    return p.stdout


def mirror():
    for line in run('apt-get', 'indextargets', '--format', '$(ORIGIN)|$(REPO_URI)', 'Identifier: Packages').splitlines():
        origin, uri = line.split('|', 1)
        if origin == 'Debian' and 'security' not in uri:
            return uri
    raise Unavailable('apt has no lists of a Debian mirror (apt-get update)')


def fetch(where):
    """Downloads and unpacks into `where`."""
    work = where + '.partial'
    shutil.rmtree(work, ignore_errors=True)
    for sub in ('state/lists/partial', 'cache/archives/partial', 'none', 'root'):
        os.makedirs(os.path.join(work, sub))
    open(work + '/status', 'w').close()
    open(work + '/preferences', 'w').close()
    with open(work + '/sources.list', 'w') as f:
        f.write('deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s unstable main\n' % mirror())
    with open(work + '/apt.conf', 'w') as f:
        f.write(CONFIG.format(dir=work))
    env = dict(os.environ, APT_CONFIG=work + '/apt.conf')
    run('apt-get', '-qq', 'update', env=env)
    run('apt-get', '-qq', '-y', '--download-only', 'install', *PACKAGES, env=env)
    for deb in glob.glob(work + '/cache/archives/*.deb'):
        run('dpkg-deb', '-x', deb, work + '/root')
    os.rename(work + '/root', where)
    shutil.rmtree(work, ignore_errors=True)


class Peer:
    """A program of the unstable suite."""

    def __init__(self, root, name):
        self.name = name
        self.path = next((p for p in (root + '/usr/bin/' + name, root + '/usr/sbin/' + name) if os.path.exists(p)), None)
        libraries = [os.path.dirname(p) for p in glob.glob(root + '/usr/lib/*/libc.so.6')]
        if not self.path or not libraries:
            raise Unavailable('the packages of the unstable suite are laid out in another way')
        self.env = dict(os.environ, LD_LIBRARY_PATH=libraries[0])
        # Pairs of files: theirs, and the machine's that it is bound over.
        self.over = [(p, os.path.realpath(p[len(root):])) for p in sorted(glob.glob(libraries[0] + '/*.so.*'))
                     if os.path.exists(p[len(root):])]


def newest():
    """{name: Peer}; Unavailable with the reason."""
    if not shutil.which('apt-get') or not shutil.which('dpkg-deb'):
        raise Unavailable('apt-get and dpkg-deb are not installed')
    cache = str(cache_directory())
    where = cache + '/unstable-peers'
    with open(where + '.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(where):
            fetch(where)
    return {name: Peer(where, name) for name in PACKAGES}
