#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns syscalls.csv into C: a hash table of names, a row of numbers for each name, and the rows of each
architecture in the order of their numbers. Usage: syscalls.py syscalls.csv OUTPUT.c"""
import sys

X32_BIT = 0x40000000
ARM_PRIVATE = 0xF0000
SLOTS = 2048


def fnv1a(name):
    h = 0x811C9DC5
    for byte in name.encode():
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h


def encode(arch, number):
    """Numbers as 16 bits; seccomp_syscalls.c (number_of) undoes it."""
    if number == '':
        return -1
    n = int(number)
    if arch == 'x32':
        n &= ~X32_BIT
    if arch == 'arm' and n >= ARM_PRIVATE:
        n = 0x7F00 + (n - ARM_PRIVATE)
    assert 0 <= n <= 0x7FFF, (arch, number)
    return n


def main():
    lines = [l for l in open(sys.argv[1]).read().splitlines() if l and not l.startswith('#')]
    arches = lines[0].split(',')[1:]
    rows = [l.split(',') for l in lines[1:]]
    slots = [0xFFFF] * SLOTS
    pool, offsets = '', []
    for i, row in enumerate(rows):
        slot = fnv1a(row[0]) % SLOTS
        while slots[slot] != 0xFFFF:
            slot = (slot + 1) % SLOTS
        slots[slot] = i
        offsets.append(len(pool))
        pool += row[0] + '\0'
    out = ['/* SPDX-License-Identifier: Apache-2.0 */', '/* Made of syscalls.csv by syscalls.py. */',
           '#include "seccomp_syscalls.h"', '']
    out.append('const uint16_t sc_row_count = %d;' % len(rows))
    out.append('const char sc_names[] =')
    out += ['\t"%s\\0"' % row[0] for row in rows]
    out[-1] += ';'
    out.append('const uint16_t sc_name_offsets[] = { %s };' % ', '.join(map(str, offsets)))
    out.append('const uint16_t sc_slots[SC_SLOTS] = { %s };' % ', '.join(map(str, slots)))
    out.append('const int16_t sc_numbers[][SC_COLUMNS] = {')
    for row in rows:
        numbers = [encode(a, n) for a, n in zip(arches, row[1:])]
        out.append('\t{ %s },' % ', '.join(map(str, numbers)))
    out.append('};')
    for column, arch in enumerate(arches):
        order = sorted((encode(arch, row[column + 1]), i) for i, row in enumerate(rows) if row[column + 1] != '')
        numbers = [n for n, _ in order]
        assert len(set(numbers)) == len(numbers), 'two names for a number of ' + arch
        out.append('static const uint16_t order_%s[] = { %s, 0xffff };' % (arch, ', '.join(str(i) for _, i in order)))
    out.append('const uint16_t *const sc_order[SC_COLUMNS] = { %s };' % ', '.join('order_' + a for a in arches))
    out.append('_Static_assert(SC_COLUMNS == %d && SC_SLOTS == %d, "seccomp_syscalls.h disagrees with syscalls.py");' %
               (len(arches), SLOTS))
    for column, arch in enumerate(arches):
        out.append('_Static_assert(SC_%s == %d, "seccomp_syscalls.h disagrees with syscalls.csv");' %
                   (arch.upper(), column))
    open(sys.argv[2], 'w').write('\n'.join(out) + '\n')


main()
