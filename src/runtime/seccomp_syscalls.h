/* SPDX-License-Identifier: Apache-2.0 */
/* System call names and numbers of every architecture, and what a filter must know of each. The tables are made from
 * data/syscalls.csv at build time. */
#ifndef RUNTIME_SECCOMP_SYSCALLS_H
#define RUNTIME_SECCOMP_SYSCALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The columns of data/syscalls.csv. */
enum sc_column {
	SC_X86_64,
	SC_X86,
	SC_X32,
	SC_AARCH64,
	SC_ARM,
	SC_RISCV64,
	SC_PPC64,
	SC_PPC,
	SC_S390X,
	SC_SPARC64,
	SC_LOONGARCH64,
	SC_MIPS,
	SC_MIPS64,
	SC_MIPS64N32,
	SC_COLUMNS,
};
#define SC_SLOTS 2048
#define SC_X32_BIT 0x40000000u
#define SC_ARM_PRIVATE 0xf0000u

extern const uint16_t sc_row_count;
extern const char sc_names[];
extern const uint16_t sc_name_offsets[];
extern const uint16_t sc_slots[SC_SLOTS];
extern const int16_t sc_numbers[][SC_COLUMNS];
extern const uint16_t *const sc_order[SC_COLUMNS]; /* rows by ascending number, ended by 0xffff */

struct sc_arch {
	const char *name; /* "SCMP_ARCH_X86_64" */
	uint32_t audit;   /* AUDIT_ARCH_*: its bits tell word size and byte order */
	enum sc_column column;
	bool wide_args; /* 64-bit arguments; x32 and n32 have the bit in `audit` or share it, but pass 32 bits */
	bool multiplexed; /* has socketcall(2) and ipc(2) */
};
const struct sc_arch *sc_arch_by_name(const char *name);
const struct sc_arch *sc_arch_native(void);
bool sc_arch_without_table(const char *name); /* a name that is valid and adds nothing to a program */
size_t sc_arch_count(void);
const struct sc_arch *sc_arch_at(size_t i);
/* The architectures a process of a machine of the native architecture can be of. */
bool sc_arch_runs_here(const struct sc_arch *a);
const struct sc_arch *sc_arch_by_audit(uint32_t audit);

int sc_row(const char *name); /* -1: no architecture has it */
static inline const char *sc_row_name(int row)
{
	return sc_names + sc_name_offsets[row];
}
int64_t sc_row_number(int row, enum sc_column column); /* -1: this architecture does not have it */

#endif
