# SPDX-License-Identifier: Apache-2.0
"""Rules about the files themselves."""

import re
import shutil
import subprocess

LINES_MAX = 1200  # a longer file says why in its head: "Long because …"
README_LINES_MAX = 40


def tracked(t):
    """The project's files: what git knows, or everything but build folders where there is no git."""
    names = None
    if shutil.which("git") and (t.source / ".git").exists():
        git = subprocess.run(["git", "-c", "safe.directory=*", "-C", str(t.source), "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        names = git.stdout.decode().split("\0") if git.returncode == 0 else None
    if names:
        return [t.source / n for n in names if n and (t.source / n).is_file()]
    return [p for p in t.source.rglob("*") if p.is_file() and not any(part.startswith("build") or part in (".git", "__pycache__")
                                                                     for part in p.relative_to(t.source).parts)]


def without_seeds(paths, t):
    return [p for p in paths if "seeds" not in p.relative_to(t.source).parts]


def test_licence(t):
    """The first line of every file is its SPDX line (the second after #!; data formats without comments are exempt)."""
    missing = []
    for path in without_seeds(tracked(t), t):
        if path.suffix in (".json", ".txt", ".pem", ".golden") and path.name != "meson_options.txt" or path.name in ("LICENSE", ".gitignore"):
            continue
        head = path.read_bytes()[:400].decode(errors="replace").splitlines()[:2]
        if not any("SPDX-License-Identifier: Apache-2.0" in line for line in head):
            missing.append(str(path.relative_to(t.source)))
    assert not missing, "no SPDX line in: " + ", ".join(missing)


def test_sizes(t):
    """No source file over 1,200 lines without a reason in its head; no README over 40 lines."""
    long = []
    for path in without_seeds(tracked(t), t):
        relative = path.relative_to(t.source)
        if path.suffix in (".c", ".h", ".py", ".build") or path.name == "dev":
            lines = path.read_text(errors="replace").splitlines()
            if len(lines) > LINES_MAX and not any("ong because" in line for line in lines[:30]):
                long.append(f"{relative}: {len(lines)} lines")
        if path.name == "README.md" and path.parent != t.source:
            lines = len(path.read_text().splitlines())
            if lines > README_LINES_MAX:
                long.append(f"{relative}: {lines} lines, at most {README_LINES_MAX}")
    assert not long, "; ".join(long)


def test_readmes(t):
    """Every folder with sources has a README.md, itself or (for include folders, seeds and data) its parent."""
    folders = {p.parent for p in without_seeds(tracked(t), t) if p.suffix in (".c", ".h", ".py")}
    missing = []
    for folder in sorted(folders):
        relative = folder.relative_to(t.source)
        if "include" in relative.parts or not relative.parts:
            continue
        if not (folder / "README.md").exists():
            missing.append(str(relative))
    assert not missing, "no README.md in: " + ", ".join(missing)


def test_no_machine_paths(t):
    """No file names a path of one developer's machine."""
    found = []
    for path in tracked(t):
        text = path.read_bytes()
        if re.search(rb"/work/(wt|main|shared|BRIEF)|/root/\.", text) and path.name != "test_files.py":
            found.append(str(path.relative_to(t.source)))
    assert not found, ", ".join(found)
