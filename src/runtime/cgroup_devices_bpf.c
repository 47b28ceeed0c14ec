/* SPDX-License-Identifier: Apache-2.0 */
/* The device rules of v2: a BPF_PROG_TYPE_CGROUP_DEVICE program in place of v1's devices controller.
 *
 * The program sees an access (type, major, minor, and any of mknod, read, write). Rules are applied in the order of the
 * configuration, later ones over earlier ones, for each kind of access on its own. So it walks the rules backwards with the
 * kinds of access that no rule has decided yet: a rule that matches either denies one of them, or takes its own away; none
 * left is permission. What remains undecided at the end is denied.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "cgroup_private.h"

const struct cg_device_rule *cg_devices_default(size_t *ret_n)
{
	static const struct cg_device_rule rules[] = {
		{true, 'c', -1, -1, CG_DEV_MKNOD, -1}, /* making a node is not using it */
		{true, 'b', -1, -1, CG_DEV_MKNOD, -1}, {true, 'c', 1, 3, CG_DEV_ALL, -1}, /* null */
		{true, 'c', 1, 5, CG_DEV_ALL, -1},                                        /* zero */
		{true, 'c', 1, 7, CG_DEV_ALL, -1},                                        /* full */
		{true, 'c', 1, 8, CG_DEV_ALL, -1},                                        /* random */
		{true, 'c', 1, 9, CG_DEV_ALL, -1},                                        /* urandom */
		{true, 'c', 5, 0, CG_DEV_ALL, -1},                                        /* tty */
		{true, 'c', 5, 2, CG_DEV_ALL, -1},                                        /* ptmx */
		{true, 'c', 136, -1, CG_DEV_ALL, -1},                                     /* pts */
	};

	*ret_n = ARRAY_SIZE(rules);
	return rules;
}

enum {
	R_RESULT = BPF_REG_0,
	R_CTX = BPF_REG_1,
	R_TYPE = BPF_REG_2,
	R_LEFT = BPF_REG_3,
	R_MAJOR = BPF_REG_4,
	R_MINOR = BPF_REG_5
};

struct program {
	struct bpf_insn *insns;
	size_t n, cap;
};

static void emit(struct program *p, struct bpf_insn insn)
{
	GROW(p->insns, p->n, p->cap);
	p->insns[p->n++] = insn;
}

#define INSN(op, dst, src, offset, immediate)                                                              \
	(struct bpf_insn)                                                                                  \
	{                                                                                                  \
		.code = (op), .dst_reg = (dst), .src_reg = (src), .off = (offset), .imm = (int)(immediate) \
	}
#define LOAD(dst, member) \
	INSN(BPF_LDX | BPF_W | BPF_MEM, dst, R_CTX, offsetof(struct bpf_cgroup_dev_ctx, member), 0)
#define ALU(op, dst, immediate) INSN(BPF_ALU | (op) | BPF_K, dst, 0, 0, immediate)
#define JUMP(op, dst, immediate, offset) INSN(BPF_JMP | (op) | BPF_K, dst, 0, offset, immediate)
#define EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static void emit_return(struct program *p, int value)
{
	emit(p, INSN(BPF_ALU64 | BPF_MOV | BPF_K, R_RESULT, 0, 0, value));
	emit(p, EXIT());
}

static void emit_rule(struct program *p, const struct cg_device_rule *d)
{
	size_t skips[3], n_skips = 0;

	if (d->type != 'a') {
		skips[n_skips++] = p->n;
		emit(p, JUMP(BPF_JNE, R_TYPE, d->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR, 0));
	}
	if (d->major >= 0) {
		skips[n_skips++] = p->n;
		emit(p, JUMP(BPF_JNE, R_MAJOR, d->major, 0));
	}
	if (d->minor >= 0) {
		skips[n_skips++] = p->n;
		emit(p, JUMP(BPF_JNE, R_MINOR, d->minor, 0));
	}
	if (d->allow) {
		emit(p, ALU(BPF_AND, R_LEFT, ~d->access & CG_DEV_ALL));
		emit(p, JUMP(BPF_JNE, R_LEFT, 0, 2));
		emit_return(p, 1);
	} else {
		/* JSET: jump if any bit is set; over it otherwise. */
		emit(p, JUMP(BPF_JSET, R_LEFT, d->access, 1));
		emit(p, INSN(BPF_JMP | BPF_JA, 0, 0, 2, 0));
		emit_return(p, 0);
	}
	for (size_t i = 0; i < n_skips; i++)
		p->insns[skips[i]].off = (short)(p->n - skips[i] - 1);
}

static bool matches_all(const struct cg_device_rule *d)
{
	return d->type == 'a' && d->major < 0 && d->minor < 0 && d->access == CG_DEV_ALL;
}

void cg_devices_bpf_build(const struct cg_device_rule *rules, size_t n, struct bpf_insn **ret, size_t *ret_n)
{
	struct program p = {0};
	size_t first = 0;
	bool base_allow = false, any_deny = false;

	for (size_t i = n; i-- > 0;) {
		if (matches_all(&rules[i])) {
			first = i + 1;
			base_allow = rules[i].allow;
			break;
		}
		any_deny |= !rules[i].allow;
	}
	*ret = NULL;
	*ret_n = 0;
	if (base_allow && !any_deny)
		return;
	/* access_type: the low half is the device type, the high half the kinds of access. */
	emit(&p, LOAD(R_TYPE, access_type));
	emit(&p, INSN(BPF_ALU | BPF_MOV | BPF_X, R_LEFT, R_TYPE, 0, 0));
	emit(&p, ALU(BPF_AND, R_TYPE, 0xffff));
	emit(&p, ALU(BPF_RSH, R_LEFT, 16));
	emit(&p, LOAD(R_MAJOR, major));
	emit(&p, LOAD(R_MINOR, minor));
	for (size_t i = n; i-- > first;)
		emit_rule(&p, &rules[i]);
	emit_return(&p, base_allow);
	*ret = p.insns;
	*ret_n = p.n;
}

static int bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static struct err *load_program(const struct bpf_insn *insns, size_t n, int *ret_fd)
{
	union bpf_attr attr = {0};

	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insn_cnt = (unsigned)n;
	attr.insns = (uint64_t)(uintptr_t)insns;
	attr.license = (uint64_t)(uintptr_t) "Apache-2.0";
	memcpy(attr.prog_name, "havre_devices", sizeof("havre_devices"));
	int fd = bpf(BPF_PROG_LOAD, &attr);
	if (fd < 0)
		return err_errno(errno,
				 "linux.resources.devices: cannot load the device filter of %zu instructions",
				 n);
	*ret_fd = fd;
	return NULL;
}

#define ATTACHED_MAX 64
static struct err *query_attached(int cgroup_fd, uint32_t ids[ATTACHED_MAX], uint32_t *ret_n)
{
	union bpf_attr attr = {0};

	attr.query.target_fd = (unsigned)cgroup_fd;
	attr.query.attach_type = BPF_CGROUP_DEVICE;
	attr.query.prog_ids = (uint64_t)(uintptr_t)ids;
	attr.query.prog_cnt = ATTACHED_MAX;
	if (bpf(BPF_PROG_QUERY, &attr) < 0)
		return err_errno(errno,
				 "linux.resources.devices: cannot list the device filters of the group");
	*ret_n = attr.query.prog_cnt;
	return NULL;
}

static int attach(int cgroup_fd, int prog_fd, int replace_fd)
{
	union bpf_attr attr = {0};

	attr.target_fd = (unsigned)cgroup_fd;
	attr.attach_bpf_fd = (unsigned)prog_fd;
	attr.attach_type = BPF_CGROUP_DEVICE;
	attr.attach_flags = BPF_F_ALLOW_MULTI;
	if (replace_fd >= 0) {
		attr.attach_flags |= BPF_F_REPLACE;
		attr.replace_bpf_fd = (unsigned)replace_fd;
	}
	return bpf(BPF_PROG_ATTACH, &attr) < 0 ? errno : 0;
}

static int detach(int cgroup_fd, int prog_fd)
{
	union bpf_attr attr = {0};

	attr.target_fd = (unsigned)cgroup_fd;
	attr.attach_bpf_fd = (unsigned)prog_fd;
	attr.attach_type = BPF_CGROUP_DEVICE;
	return bpf(BPF_PROG_DETACH, &attr) < 0 ? errno : 0;
}

static int program_by_id(uint32_t id)
{
	union bpf_attr attr = {0};

	attr.prog_id = id;
	return bpf(BPF_PROG_GET_FD_BY_ID, &attr);
}

/* Every filter of a group must agree, so an old one that stays would keep denying: the first is replaced in one
 * step (there is no moment without a filter), further ones are taken off. */
static struct err *swap_filters(int cgroup_fd, int prog_fd)
{
	uint32_t ids[ATTACHED_MAX], n = 0;
	bool attached = prog_fd < 0;

	TRY(query_attached(cgroup_fd, ids, &n));
	for (uint32_t i = 0; i < n; i++) {
		_cleanup_fd_ int old = program_by_id(ids[i]);
		if (old < 0)
			return err_errno(
				errno,
				"linux.resources.devices: cannot open the device filter %u of the group",
				ids[i]);
		int rc = attached ? detach(cgroup_fd, old) : attach(cgroup_fd, prog_fd, old);
		if (rc && rc != ENOENT)
			return err_errno(
				rc, "linux.resources.devices: cannot replace the device filter of the group");
		attached = true;
	}
	if (!attached) {
		int rc = attach(cgroup_fd, prog_fd, -1);
		if (rc)
			return err_errno(
				rc, "linux.resources.devices: cannot attach the device filter to the group");
	}
	return NULL;
}

struct err *cg_devices_bpf_apply(int cgroup_fd, const struct cg_device_rule *rules, size_t n)
{
	_cleanup_free_ struct bpf_insn *insns = NULL;
	_cleanup_fd_ int prog_fd = -1;
	size_t n_insns;

	cg_devices_bpf_build(rules, n, &insns, &n_insns);
	struct err *e = n_insns ? load_program(insns, n_insns, &prog_fd) : NULL;
	if (!e)
		e = swap_filters(cgroup_fd, prog_fd);
	/* A kernel without filters has none that would have to go. */
	if (e && n_insns == 0 && (e->errnum == EINVAL || e->errnum == ENOSYS)) {
		err_free(e);
		return NULL;
	}
	return e;
}
