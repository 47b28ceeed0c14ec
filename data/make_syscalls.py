#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes syscalls.csv from the kernel's exported headers: make_syscalls.py VERSION INCLUDE-DIRECTORY

The directory is usr/include of an unpacked linux-libc-dev of Debian, which since 6.12 has the headers of every architecture:

    apt-get download linux-libc-dev && dpkg-deb -x linux-libc-dev_*.deb tree
    data/make_syscalls.py 7.2 tree/usr/include >data/syscalls.csv

Only the preprocessor is needed, of any architecture. What is installed of older headers checks the table (tests/house/test_syscalls.py).
"""

import re
import subprocess
import sys
from pathlib import Path

# The directories of each architecture's asm/unistd.h, and what its compiler says of itself, as far as that asks.
COLUMNS = {
    "x86_64": (["x86_64-linux-gnu"], ["__x86_64__", "__LP64__"]),
    "x86": (["i386-linux-gnu", "x86_64-linux-gnu"], ["__i386__"]),
    "x32": (["x86_64-linux-gnux32", "x86_64-linux-gnu"], ["__x86_64__", "__ILP32__"]),
    "aarch64": (["aarch64-linux-gnu"], ["__aarch64__", "__LP64__"]),
    "arm": (["arm-linux-gnueabihf"], ["__arm__", "__ARM_EABI__"]),
    "riscv64": (["riscv64-linux-gnu"], ["__riscv", "__riscv_xlen=64", "__LP64__", "__SIZEOF_POINTER__=8"]),
    "ppc64": (["powerpc64-linux-gnu", "powerpc64le-linux-gnu"], ["__powerpc__", "__powerpc64__", "__LP64__"]),
    "ppc": (["powerpc-linux-gnu"], ["__powerpc__"]),
    "s390x": (["s390x-linux-gnu"], ["__s390__", "__s390x__", "__LP64__"]),
    "sparc64": (["sparc64-linux-gnu"], ["__sparc__", "__arch64__", "__LP64__"]),
    "loongarch64": (["loongarch64-linux-gnu"], ["__loongarch__", "__LP64__", "__SIZEOF_LONG__=8", "__CHAR_BIT__=8"]),
    "mips": (["mips-linux-gnu"], ["__mips__", "_MIPS_SIM=1"]),
    "mips64": (["mips64-linux-gnuabi64", "mips64el-linux-gnuabi64"], ["__mips__", "_MIPS_SIM=3", "__LP64__"]),
    "mips64n32": (["mips64-linux-gnuabi64", "mips64el-linux-gnuabi64"], ["__mips__", "_MIPS_SIM=2"]),
}
# Bases of numbers, their counts and holes, which are in the headers beside the calls.
NOT_CALLS = re.compile(r"BASE|Linux.*|.*_Linux.*|syscalls|arch_specific_syscall|(OABI_)?SYSCALL_(BASE|MASK)|unused\d*|reserved\d*")
ARITHMETIC = re.compile(r"[0-9a-fA-FxX+() ]+")


def header_directories(column, include):
    """Where the column's headers are, below usr/include or as Debian's cross packages have them. Empty: they are not there."""
    for triplet in COLUMNS[column][0]:
        for place in ([include / triplet, include], [include.parent / triplet / "include"]):
            if (place[0] / "asm/unistd.h").exists():
                return place
    return []


def preprocess(column, directories, text, *flags):
    command = ["cc", "-E", "-P", "-undef", "-nostdinc", "-x", "c", *flags, *(f"-D{d}" for d in COLUMNS[column][1]),
               *(f"-I{d}" for d in directories), "-"]
    return subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=True).stdout


def numbers(column, directories):
    """{name: number} of one architecture, without second names of a call."""
    include = "#include <asm/unistd.h>\n"
    macros = re.findall(r"^#define (__(?:ARM_)?NR_(\w+)) (.*)$", preprocess(column, directories, include, "-dM"), re.M)
    asked = "".join(f'"{name}" {macro}\n' for macro, name, body in macros
                    if not NOT_CALLS.fullmatch(name) and not re.fullmatch(r"__NR_\w+", body))
    found = {}
    for name, value in re.findall(r'^"(\w+)" (.*)$', preprocess(column, directories, include + asked), re.M):
        if not ARITHMETIC.fullmatch(value):
            sys.exit(f"{column}: {name} is {value}, which is no number")
        found[name] = eval(value)  # nothing but numbers and sums
    return found


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    version, include = sys.argv[1], Path(sys.argv[2])
    tables = {}
    for column in COLUMNS:
        directories = header_directories(column, include)
        if not directories:
            sys.exit(f"no headers for {column} below {include}")
        tables[column] = numbers(column, directories)
    print("# SPDX-License-Identifier: Apache-2.0")
    print(f"# System call numbers of Linux {version} by architecture, from the kernel's exported headers. Empty: the architecture has none.")
    print(",".join(["name", *COLUMNS]))
    for name in sorted(set().union(*tables.values())):
        print(",".join([name, *(str(tables[column].get(name, "")) for column in COLUMNS)]))


if __name__ == "__main__":
    main()
