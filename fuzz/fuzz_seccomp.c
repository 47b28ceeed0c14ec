/* SPDX-License-Identifier: Apache-2.0 */
/* A seccomp profile from a configuration: whatever it says, the result is an error or a program that the kernel's checks
 * would pass (every jump inside, a return at the end). */
#include <stdint.h>
#include <stdlib.h>

#include "seccomp_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json *doc = NULL;
	struct sc_profile profile;
	struct rt_seccomp settings;
	struct sock_filter *insns;
	size_t n;

	struct err *e = json_parse((const char *)data, size, "seccomp.json", &doc);
	if (e) {
		err_free(e);
		return 0;
	}
	struct json_cursor c = json_root(doc);
	e = sc_profile_parse(&c, true, &profile, &settings);
	if (!e) {
		e = sc_bpf_build(&profile, &insns, &n);
		for (size_t i = 0; !e && i < n; i++) {
			const struct sock_filter *f = &insns[i];
			bool jumps = (f->code & 7) == BPF_JMP, always = f->code == (BPF_JMP | BPF_JA);
			if (jumps &&
			    (always ? i + 1 + f->k >= n : i + 1 + (f->jt > f->jf ? f->jt : f->jf) >= n))
				abort();
			if (i == n - 1 && f->code != (BPF_RET | BPF_K))
				abort();
		}
		if (!e)
			free(insns);
		sc_profile_release(&profile);
		rt_seccomp_release(&settings);
	}
	err_free(e);
	json_unref(doc);
	return 0;
}
