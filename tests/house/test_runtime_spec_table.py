# SPDX-License-Identifier: Apache-2.0
"""docs/runtime-spec.md says the truth: its functions and tests exist, and the parsers know nothing that it does not name."""

import re

PARSERS = ("spec*.c", "mount_options.c", "cgroup_resources.c", "seccomp.c")
# Read by those parsers, and no property of config.json.
NOT_PROPERTIES = {"mountOptions"}


def rows(t):
    """(property, functions, tests) of every row."""
    for line in (t.source / "docs/runtime-spec.md").read_text().splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 3:
            yield cells[0].strip("`"), re.findall(r"`([^`]+)`", cells[1]), re.findall(r"`([^`]+)`", cells[2])


def test_functions_exist(t):
    """Every function of the table is defined in src/runtime."""
    sources = "\n".join(p.read_text() for p in (t.source / "src/runtime").glob("*.c"))
    defined = set(re.findall(r"^(?:static )?(?:_printf_\S+ )?(?:const )?(?:struct \w+|bool|void|int|unsigned|char|pid_t) \*?(\w+)\(", sources, re.M))
    unknown = {f for _, functions, _ in rows(t) for f in functions} - defined
    assert not unknown, unknown


def test_tests_exist(t):
    """Every property has a test, and every test of the table exists."""
    unknown, untested = set(), set()
    for name, _, tests in rows(t):
        if not tests:
            untested.add(name)
        for test in tests:
            file, function = test.split(".")
            python = t.source / f"tests/integration/test_{file}.py"
            c = t.source / f"src/runtime/{file}.c"
            there = (python.exists() and f"\ndef test_{function}(" in python.read_text()
                     or c.exists() and f"TEST({function})" in c.read_text())
            if not there:
                unknown.add(test)
    assert not unknown and not untested, (unknown, untested)


def test_table_is_complete(t):
    """Every property that a parser reads is in the table, each once."""
    names = [name for name, _, _ in rows(t)]
    assert len(names) > 150 and len(set(names)) == len(names), [n for n in names if names.count(n) > 1]
    parts = {p for name in names for p in re.split(r"[.\[\]]+", name)}
    read = set()
    for pattern in PARSERS:
        for path in (t.source / "src/runtime").glob(pattern):
            if path.name.endswith(("_test.c", "_default.c")):
                continue
            text = path.read_text()
            for call in re.findall(r"\b(?:json_get\w*|spec_set_parse|get_list|parse_action|capability_set_parse|maps_parse|paths_parse|"
                                   r"check_cpu_list|time_offset_parse)\(([^;{]*?)\)", text):
                read |= set(re.findall(r'"(\w+)"', call))
            read |= {word for pair in re.findall(r'NUMBER\("(\w+)", "(\w+)"', text) for word in pair}
            if path.name == "spec.c":
                hooks = re.search(r"spec_hook_names\[SPEC_HOOK_COUNT\] = \{(.*?)\}", text, re.S).group(1)
                read |= set(re.findall(r'"(\w+)"', hooks))
    assert len(read) > 120, read
    unknown = read - parts - NOT_PROPERTIES
    assert not unknown, unknown
