/* SPDX-License-Identifier: Apache-2.0 */
#include "seccomp_syscalls.h"

#include <linux/audit.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/seccomp.h"

#ifndef AUDIT_ARCH_LOONGARCH64
#define AUDIT_ARCH_LOONGARCH64 (258 | __AUDIT_ARCH_64BIT | __AUDIT_ARCH_LE)
#endif

static const struct sc_arch arches[] = {
	{"SCMP_ARCH_X86_64", AUDIT_ARCH_X86_64, SC_X86_64, true, false},
	{"SCMP_ARCH_X86", AUDIT_ARCH_I386, SC_X86, false, true},
	{"SCMP_ARCH_X32", AUDIT_ARCH_X86_64, SC_X32, false, false},
	{"SCMP_ARCH_AARCH64", AUDIT_ARCH_AARCH64, SC_AARCH64, true, false},
	{"SCMP_ARCH_ARM", AUDIT_ARCH_ARM, SC_ARM, false, false},
	{"SCMP_ARCH_RISCV64", AUDIT_ARCH_RISCV64, SC_RISCV64, true, false},
	{"SCMP_ARCH_PPC64LE", AUDIT_ARCH_PPC64LE, SC_PPC64, true, true},
	{"SCMP_ARCH_PPC64", AUDIT_ARCH_PPC64, SC_PPC64, true, true},
	{"SCMP_ARCH_PPC", AUDIT_ARCH_PPC, SC_PPC, false, true},
	{"SCMP_ARCH_S390X", AUDIT_ARCH_S390X, SC_S390X, true, true},
	{"SCMP_ARCH_SPARC64", AUDIT_ARCH_SPARC64, SC_SPARC64, true, true},
	{"SCMP_ARCH_LOONGARCH64", AUDIT_ARCH_LOONGARCH64, SC_LOONGARCH64, true, false},
	{"SCMP_ARCH_MIPS", AUDIT_ARCH_MIPS, SC_MIPS, false, true},
	{"SCMP_ARCH_MIPSEL", AUDIT_ARCH_MIPSEL, SC_MIPS, false, true},
	{"SCMP_ARCH_MIPS64", AUDIT_ARCH_MIPS64, SC_MIPS64, true, false},
	{"SCMP_ARCH_MIPSEL64", AUDIT_ARCH_MIPSEL64, SC_MIPS64, true, false},
	{"SCMP_ARCH_MIPS64N32", AUDIT_ARCH_MIPS64N32, SC_MIPS64N32, false, false},
	{"SCMP_ARCH_MIPSEL64N32", AUDIT_ARCH_MIPSEL64N32, SC_MIPS64N32, false, false},
};

#if defined(__x86_64__)
#define NATIVE_AUDIT AUDIT_ARCH_X86_64
static const uint32_t audit_here[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386};
#elif defined(__aarch64__)
#define NATIVE_AUDIT AUDIT_ARCH_AARCH64
static const uint32_t audit_here[] = {AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM};
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE_AUDIT AUDIT_ARCH_RISCV64
static const uint32_t audit_here[] = {AUDIT_ARCH_RISCV64};
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define NATIVE_AUDIT AUDIT_ARCH_PPC64LE
static const uint32_t audit_here[] = {AUDIT_ARCH_PPC64LE};
#elif defined(__s390x__)
#define NATIVE_AUDIT AUDIT_ARCH_S390X
static const uint32_t audit_here[] = {AUDIT_ARCH_S390X};
#elif defined(__sparc__) && defined(__arch64__)
#define NATIVE_AUDIT AUDIT_ARCH_SPARC64
static const uint32_t audit_here[] = {AUDIT_ARCH_SPARC64};
#elif defined(__loongarch64)
#define NATIVE_AUDIT AUDIT_ARCH_LOONGARCH64
static const uint32_t audit_here[] = {AUDIT_ARCH_LOONGARCH64};
#elif defined(__i386__)
#define NATIVE_AUDIT AUDIT_ARCH_I386
static const uint32_t audit_here[] = {AUDIT_ARCH_I386};
#elif defined(__arm__)
#define NATIVE_AUDIT AUDIT_ARCH_ARM
static const uint32_t audit_here[] = {AUDIT_ARCH_ARM};
#else
#error "this architecture has no column in data/syscalls.csv"
#endif

const struct sc_arch *sc_arch_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(arches); i++)
		if (strcmp(arches[i].name, name) == 0)
			return &arches[i];
	return NULL;
}

/* What libseccomp knows besides: no machine that this program is built for runs their programs, but s390x those of s390. A filter
 * kills what calls as an architecture that it does not know. */
bool sc_arch_without_table(const char *name)
{
	static const char *const names[] = {"SCMP_ARCH_NATIVE",   "SCMP_ARCH_S390", "SCMP_ARCH_PARISC",
					    "SCMP_ARCH_PARISC64", "SCMP_ARCH_M68K", "SCMP_ARCH_SH",
					    "SCMP_ARCH_SHEB"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

size_t sc_arch_count(void)
{
	return ARRAY_SIZE(arches);
}

const struct sc_arch *sc_arch_at(size_t i)
{
	return &arches[i];
}

const struct sc_arch *sc_arch_by_audit(uint32_t audit)
{
	for (size_t i = 0; i < ARRAY_SIZE(arches); i++)
		if (arches[i].audit == audit)
			return &arches[i];
	return NULL;
}

const struct sc_arch *sc_arch_native(void)
{
	return sc_arch_by_audit(NATIVE_AUDIT);
}

bool sc_arch_runs_here(const struct sc_arch *a)
{
	for (size_t i = 0; i < ARRAY_SIZE(audit_here); i++)
		if (a->audit == audit_here[i])
			return true;
	return false;
}

int sc_row(const char *name)
{
	uint32_t hash = 0x811c9dc5;

	for (const char *p = name; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 0x01000193;
	for (uint32_t slot = hash % SC_SLOTS; sc_slots[slot] != 0xffff; slot = (slot + 1) % SC_SLOTS)
		if (strcmp(sc_row_name(sc_slots[slot]), name) == 0)
			return sc_slots[slot];
	return -1;
}

int64_t sc_row_number(int row, enum sc_column column)
{
	int16_t n = sc_numbers[row][column];

	if (n < 0)
		return -1;
	if (column == SC_X32)
		return (int64_t)SC_X32_BIT + n;
	if (column == SC_ARM && n >= 0x7f00)
		return (int64_t)SC_ARM_PRIVATE + (n - 0x7f00);
	return n;
}

int rt_syscall_number(uint32_t audit_arch, const char *name)
{
	const struct sc_arch *a = sc_arch_by_audit(audit_arch);
	int row = sc_row(name);

	return a && row >= 0 ? (int)sc_row_number(row, a->column) : -1;
}
