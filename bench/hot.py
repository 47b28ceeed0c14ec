#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes bin/hot.ld: which functions a container's life runs through, so that the linker lays them side by side.

    bench/hot.py BUILD > bin/hot.ld

The runtime is single-stepped (steps.c) through run, create, start, exec and delete; each visited input section of the link map
becomes a line. Needs root; takes minutes. A line that matches nothing is harmless, and so is a function that is
missing: it stays in .text.
"""
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

import runtime
from measure import build, make_rootfs


def link_map(tree, tmp):
    """Input sections of code: (start, end, pattern)."""
    command = subprocess.run(['ninja', '-C', tree, '-t', 'commands', 'bin/havre-runtime'], capture_output=True, text=True,
                             check=True).stdout.splitlines()[-1]
    command = [w for w in shlex.split(command) if not w.endswith('hot.ld')]
    command[command.index('-o') + 1] = tmp + '/plain'
    subprocess.run(command + ['-Wl,-Map=' + tmp + '/map', '-Wl,--defsym=havre_hot_start=0,--defsym=havre_hot_end=0'],
                   cwd=tree, check=True)
    sections = []
    for m in re.finditer(r'^ (\.text\S*)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+(\S+)', open(tmp + '/map').read(), re.M):
        name, start, size, where = m.group(1), int(m.group(2), 16), int(m.group(3), 16), m.group(4)
        archive = re.search(r'([^/]+\.a)\(([^)]+)\)$', where)
        if name == '.text' and not archive:
            continue
        # Ours have a section each; a library's member is one section.
        library = archive and not archive.group(2).endswith('.c.o') or name == '.text'
        pattern = '*%s:%s(%s)' % (archive.group(1), archive.group(2), name) if library else '*(%s %s.*)' % (name, name)
        sections.append((start, start + size, pattern))
    return sorted(sections)


def visited(tmp):
    """Offsets into the program, 16 bytes each."""
    rootfs, state, steps = tmp + '/rootfs', tmp + '/state', build(tmp, 'steps')
    make_rootfs(rootfs)
    base = [tmp + '/plain', '--root', state]
    plain = runtime.make_bundle(tmp, 'plain-bundle', rootfs)
    strict = runtime.make_bundle(tmp, 'strict-bundle', rootfs, runtime.profile())
    sleeping = runtime.make_bundle(tmp, 'sleeping', rootfs, args=['/bin/sleep', '1000'])
    for command in (['run', '--bundle', strict, 'hot-1'], ['create', '--bundle', plain, 'hot-2'], ['start', 'hot-2'],
                    ['delete', 'hot-2'], ['run', '--detach', '--bundle', sleeping, 'hot-3'],
                    ['exec', 'hot-3', '/bin/true'], ['delete', '--force', 'hot-3']):
        out = tmp + '/visited'
        subprocess.run([steps, out] + base + command, stdin=subprocess.DEVNULL, check=True)
        print(*command, file=sys.stderr)
        yield from (int(line, 16) for line in open(out))


def main():
    with tempfile.TemporaryDirectory(prefix='havre-hot-') as tmp:
        sections = link_map(os.path.abspath(sys.argv[1]), tmp)
        at, found = 0, []
        for offset in sorted(set(visited(tmp))):
            while at < len(sections) and sections[at][1] <= offset:
                at += 1
            if at < len(sections) and sections[at][0] < offset + 16 and sections[at][2] not in found:
                found.append(sections[at][2])
    print('/* SPDX-License-Identifier: Apache-2.0 */\n'
          '/* Made by bench/hot.py: the code that a container\'s life runs through, side by side. bin/early.c maps it in one call,\n'
          ' * where it would be a page fault for each 64 kB of the program that holds a part of it. */\n'
          'SECTIONS\n{\n\t.text.havre_hot : ALIGN(4096)\n\t{\n\t\thavre_hot_start = .;')
    for pattern in found:
        print('\t\t' + pattern)
    print('\t\thavre_hot_end = .;\n\t}\n}\nINSERT BEFORE .text;')


if __name__ == '__main__':
    main()
