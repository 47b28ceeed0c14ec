/* SPDX-License-Identifier: Apache-2.0 */
#include "criu_flags.h"

static const struct flag flags[] = {
	CRIU_FLAG_ROWS,
	{FLAG_STRING_FIELD(struct criu_flags, parent_path), .name = "parent-path", .metavar = "DIR",
	 .help = "An earlier --pre-dump's image path, relative to --image-path"},
	{FLAG_BOOL_FIELD(struct criu_flags, leave_running), .name = "leave-running", .letter = 'R',
	 .help = "Let the container go on afterwards"},
	{FLAG_BOOL_FIELD(struct criu_flags, tcp_skip_in_flight), .name = "tcp-skip-in-flight",
	 .help = "Skip TCP connections that are not yet established"},
	{FLAG_BOOL_FIELD(struct criu_flags, pre_dump), .name = "pre-dump",
	 .help = "Write only the memory, and let the container go on"},
	{FLAG_STRING_FIELD(struct criu_flags, page_server), .name = "page-server", .metavar = "ADDRESS:PORT",
	 .help = "Send memory pages to a criu page server"},
	{FLAG_INT_FIELD(struct criu_flags, status_fd), .name = "status-fd", .metavar = "FD", .min = -1,
	 .max = INT32_MAX, .help = "Gets a zero byte when lazy pages can be fetched"},
	{0},
};

/* The words are checked by the table of flags. */
static int word_index(const char *word, const char *const *words)
{
	for (int i = 0; words[i]; i++)
		if (str_eq(word, words[i]))
			return i;
	return 0;
}

struct err *criu_flags_options(const struct invocation *in, struct rt_criu_options *ret)
{
	static const char *const modes[] = {"soft", "full", "strict", "ignore", NULL};
	static const char *const locks[] = {"", "iptables", "nftables", "skip", NULL};
	const struct criu_flags *f = in->options;
	STRV_FOREACH (ns, f->empty_ns)
		if (!str_eq(*ns, "network"))
			return usage_error(in, "--empty-ns %s: only \"network\" can be left empty", *ns);
	*ret = (struct rt_criu_options){
		.image_path = f->image_path ? f->image_path : "checkpoint",
		.work_path = f->work_path,
		.tcp_established = f->tcp_established,
		.tcp_close = f->tcp_close,
		.ext_unix_sk = f->ext_unix_sk,
		.shell_job = f->shell_job,
		.file_locks = f->file_locks,
		.auto_dedup = f->auto_dedup,
		.link_remap = f->link_remap,
		.lazy_pages = f->lazy_pages,
		.empty_network = f->empty_ns != NULL,
		.manage_cgroups = (enum rt_criu_cgroups)word_index(f->manage_cgroups_mode, modes),
		.network_lock = (enum rt_criu_network_lock)word_index(f->network_lock, locks),
	};
	return NULL;
}

static struct err *run(struct invocation *in, int *ret_status)
{
	const struct criu_flags *f = in->options;
	_cleanup_(rt_container_freep) struct rt_container *c = NULL;
	struct rt_checkpoint k = {
		.parent_path = f->parent_path,
		.page_server = f->page_server,
		.leave_running = f->leave_running,
		.pre_dump = f->pre_dump,
		.tcp_skip_in_flight = f->tcp_skip_in_flight,
		.status_fd = (int)f->status_fd,
	};
	TRY(criu_flags_options(in, &k.options));
	TRY(oci_load(in, &c));
	TRY(rt_container_checkpoint(c, &k));
	if (k.leave_running || k.pre_dump)
		return NULL;
	/* As with runc and crun. A `run` that waited for its end may have done it already. */
	struct err *e = oci_delete_container(c->id, false);
	if (e && e->kind == ERR_NOT_FOUND) {
		err_free(e);
		return NULL;
	}
	return e;
}

static const struct criu_flags defaults = {.status_fd = -1};

const struct command oci_checkpoint = {
	.name = "checkpoint",
	.summary = "Write the state of a running container's processes into a directory",
	.usage = "[OPTIONS] CONTAINER",
	.help = "The program criu must be installed. The container is deleted afterwards, unless "
		"--leave-running or --pre-dump is given; the command restore makes one that goes on from "
		"there.",
	.flags = flags,
	.options_size = sizeof(struct criu_flags),
	.defaults = &defaults,
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
