# SPDX-License-Identifier: Apache-2.0
"""data/syscalls.csv is what data/make_syscalls.py makes: checked against the kernel headers that are installed, of this architecture and of others."""

import csv
import re
import shutil
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(SOURCE / "data"))
import make_syscalls  # noqa: E402

INCLUDE = Path("/usr/include")


def table():
    """The version it is of, and {column: {name: number}}."""
    lines = (SOURCE / "data/syscalls.csv").read_text().splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert list(rows[0]) == ["name", *make_syscalls.COLUMNS] and [r["name"] for r in rows] == sorted(r["name"] for r in rows)
    version = next(re.search(r"Linux (\d+)\.(\d+)", line) for line in lines if "Linux" in line)
    return tuple(map(int, version.groups())), {c: {r["name"]: int(r[c]) for r in rows if r[c]} for c in make_syscalls.COLUMNS}


def installed_version():
    text = (INCLUDE / "linux/version.h").read_text()
    code = int(re.search(r"LINUX_VERSION_CODE (\d+)", text)[1])
    return code >> 16, code >> 8 & 255


def test_table_is_made(t):
    """a call of the installed headers has its number in the table; what only the table has is newer: above all numbers of the headers, or
    a gap in them that a newer kernel filled. With headers of the table's own version both are equal"""
    if not shutil.which("cc") or not (INCLUDE / "linux/version.h").exists():
        t.skip("the kernel's headers are not installed")
    of, columns = table()
    looked_at = []
    for column, known in columns.items():
        directories = make_syscalls.header_directories(column, INCLUDE)
        if not directories:
            continue
        looked_at.append(column)
        found = make_syscalls.numbers(column, directories)
        assert len(found) > 250, (column, len(found))
        if installed_version() <= of:
            wrong = {name: (number, known.get(name)) for name, number in found.items() if known.get(name) != number}
            assert not wrong, f"{column}: {wrong}"
        if installed_version() == of:
            assert found == known, column
        taken = set(found.values())
        twice = {name: number for name, number in known.items() if name not in found and number in taken}
        assert installed_version() > of or not twice, f"{column}: numbers of other calls: {twice}"
    assert looked_at, "no headers were found for any column"
