/* SPDX-License-Identifier: Apache-2.0 */
/* linux.resources: parsed or refused; and the device filter that its rules make. */
#include <linux/bpf.h>
#include <stdint.h>
#include <stdlib.h>

#include "cgroup_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json *doc = NULL;
	struct cg_resources r;
	struct bpf_insn *insns;
	size_t n;

	struct err *e = json_parse((const char *)data, size, "resources.json", &doc);
	if (e) {
		err_free(e);
		return 0;
	}
	struct json_cursor c = json_root(doc);
	e = cg_resources_parse(&c, &r);
	if (!e) {
		cg_devices_bpf_build(r.devices, r.n_devices, &insns, &n);
		for (size_t i = 0; i < n; i++)
			if ((insns[i].code & 7) == BPF_JMP && insns[i].code != (BPF_JMP | BPF_EXIT) &&
			    i + 1 + (size_t)insns[i].off >= n)
				abort();
		free(insns);
		cg_resources_release(&r);
	}
	err_free(e);
	json_unref(doc);
	return 0;
}
