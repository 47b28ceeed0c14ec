/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the filters share: a profile from text, and an interpreter of classic BPF programs. */
#ifndef RUNTIME_SECCOMP_INTERPRET_H
#define RUNTIME_SECCOMP_INTERPRET_H

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>

#include "base/memory.h"
#include "base/str.h"
#include "seccomp_private.h"
#include "unit.h"

static inline struct json *parse(const char *text)
{
	struct json *doc = NULL;

	CHECK_OK(json_parse(text, strlen(text), "test", &doc));
	return doc;
}

static inline uint32_t interpret(const struct sock_filter *p, size_t n, const struct seccomp_data *data)
{
	uint32_t a = 0, x = 0, memory[16] = {0};

	for (size_t pc = 0; pc < n; pc++) {
		const struct sock_filter *i = &p[pc];
		bool yes;

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			CHECK(i->k % 4 == 0 && i->k < sizeof(*data));
			memcpy(&a, (const char *)data + i->k, 4);
			continue;
		case BPF_LD | BPF_IMM:
			a = i->k;
			continue;
		case BPF_ST:
			memory[i->k & 15] = a;
			continue;
		case BPF_LD | BPF_MEM:
			a = memory[i->k & 15];
			continue;
		case BPF_LDX | BPF_MEM:
			x = memory[i->k & 15];
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			continue;
		case BPF_MISC | BPF_TAX:
			x = a;
			continue;
		case BPF_MISC | BPF_TXA:
			a = x;
			continue;
		case BPF_JMP | BPF_JA:
			pc += i->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = a == i->k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			yes = a > i->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = a >= i->k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			yes = (a & i->k) != 0;
			break;
		case BPF_RET | BPF_K:
			return i->k;
		default:
			printf("# instruction %#x at %zu\n", i->code, pc);
			CHECK(false);
		}
		pc += yes ? i->jt : i->jf;
	}
	CHECK(false); /* ran off the end */
	return 0;
}

#endif
