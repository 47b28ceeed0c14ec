# SPDX-License-Identifier: Apache-2.0
"""The control group code on this machine's hierarchies, and in the virtual machine on pure v2."""


def test_groups(t):
    """limits, devices, freezing, killing and removal work on the control groups that are mounted here"""
    program = t.bin.parent / "src/runtime/cgroup_test"
    if not program.exists():
        t.skip("cgroup_test is not built")
    result = t.run([program], check=False, timeout=120)
    assert result.rc == 0, result.out
    skipped = [line for line in result.out.splitlines() if "# SKIP" in line]
    if skipped:
        t.skip("; ".join(skipped))
