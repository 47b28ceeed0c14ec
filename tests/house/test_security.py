# SPDX-License-Identifier: Apache-2.0
"""docs/security.md is true: its tests exist, and each names the CVE that it performs."""

import re


def test_security_table(t):
    """Every test in a row of docs/security.md exists, and one of them names the row's CVE in its docstring."""
    wrong, rows = [], 0
    for line in (t.source / "docs/security.md").read_text().splitlines():
        row = re.match(r"\| (\d{4}-\d{4,6}) \|[^|]+\|([^|]+)\| ([^|]+) \|$", line)
        if not row:
            continue
        rows += 1
        cve, tests = "CVE-" + row[1], row[3].split(", ")
        if not row[2].strip():
            wrong.append(f"{cve}: no prevention")
        texts = []
        for name in tests:
            file, _, function = name.partition(".")
            path = t.source / f"tests/integration/test_{file}.py"
            found = re.search(rf'^def test_{function}\(t\):\n    """(.*?)"""', path.read_text(), re.M | re.S) if path.exists() else None
            if found:
                texts.append(function.upper().replace("_", "-") + " " + found[1])
            else:
                wrong.append(f"{cve}: there is no test {name}")
        if not any(cve in text for text in texts):
            wrong.append(f"{cve} is named in none of {', '.join(tests)}")
    assert rows > 40 and not wrong, "\n".join(wrong)


def test_security_prevention(t):
    """The functions that docs/security.md names as preventions are in the sources."""
    sources = "\n".join(p.read_text(errors="replace") for layer in ("src", "bin") for p in (t.source / layer).rglob("*.[ch]"))
    cells = [line.split("|")[3] for line in (t.source / "docs/security.md").read_text().splitlines() if re.match(r"\| \d{4}-", line)]
    names = {name for cell in cells for name in re.findall(r"`([a-z_]+)`", cell)}
    missing = [name for name in sorted(names) if not re.search(rf"\b{name}\b", sources)]
    assert len(names) > 20 and not missing, missing
