#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns seccomp-default.json into C: names as strings one behind the other, a table of rules. Usage:
seccomp_profile.py seccomp-default.json syscalls.csv OUTPUT.c"""
import json
import sys

KEYS = {'why', 'names', 'capabilities', 'without', 'architectures', 'not_architectures', 'args', 'action', 'errnoRet'}


def quoted(strings):
    return '"%s"' % ''.join(s + '\\0' for s in strings)


def main():
    profile = json.load(open(sys.argv[1]))
    known = {l.split(',')[0] for l in open(sys.argv[2]) if not l.startswith('#')}
    out = ['/* SPDX-License-Identifier: Apache-2.0 */', '/* Made of seccomp-default.json by seccomp_profile.py. */',
           '#include "seccomp_default.h"', '',
           'const char sc_default_action[] = "%s";' % profile['defaultAction'],
           'const uint32_t sc_default_errno = %d;' % profile['defaultErrnoRet'],
           'const struct sc_default_rule sc_default_rules[] = {']
    for rule in profile['rules']:
        assert set(rule) <= KEYS, 'unknown key in %s' % rule
        unknown = [n for n in rule['names'] if n not in known]
        assert not unknown, 'no such system call: %s' % unknown
        fields = ['.names = ' + quoted(rule['names'])]
        for key in ('capabilities', 'without', 'architectures', 'not_architectures'):
            if key in rule:
                fields.append('.%s = %s' % (key, quoted(rule[key])))
        fields.append('.action = "%s"' % rule.get('action', 'SCMP_ACT_ALLOW'))
        if 'errnoRet' in rule:
            fields.append('.errno_ret = %d' % rule['errnoRet'])
        args = rule.get('args', [])
        assert len(args) <= 1, 'one condition is all that the table holds'
        for arg in args:
            fields += ['.op = "%s"' % arg['op'], '.index = %d' % arg['index'], '.value = %du' % arg['value'],
                       '.value_two = %du' % arg.get('valueTwo', 0)]
        out.append('\t{ %s },' % ', '.join(fields))
    out += ['};', 'const size_t sc_default_rule_count = %d;' % len(profile['rules'])]
    open(sys.argv[3], 'w').write('\n'.join(out) + '\n')


main()
