/* SPDX-License-Identifier: Apache-2.0 */
/* The flags that checkpoint and restore have in common. */
#ifndef OCI_CRIU_FLAGS_H
#define OCI_CRIU_FLAGS_H

#include "oci.h"
#include "runtime/checkpoint.h"

struct criu_flags {
	struct make_options make; /* first: restore lists make_flags, whose offsets are of this struct */
	const char *image_path, *work_path, *parent_path, *page_server, *manage_cgroups_mode, *network_lock;
	const char *lsm_profile, *lsm_mount_context;
	char **empty_ns;
	bool leave_running, tcp_established, tcp_skip_in_flight, tcp_close, ext_unix_sk, shell_job,
		file_locks;
	bool pre_dump, auto_dedup, link_remap, lazy_pages;
	int64_t status_fd;
};

/* Rows of a table of flags. */
#define CRIU_FLAG_ROWS                                                                                     \
	{FLAG_STRING_FIELD(struct criu_flags, image_path), .name = "image-path", .metavar = "DIR",         \
	 .values = "@dir", .help = "Directory of the checkpoint's images (default ./checkpoint)"},         \
		{FLAG_STRING_FIELD(struct criu_flags, work_path), .name = "work-path", .metavar = "DIR",   \
		 .values = "@dir", .help = "Directory for logs and work files (default: the image path)"}, \
		{FLAG_BOOL_FIELD(struct criu_flags, tcp_established), .name = "tcp-established",           \
		 .help = "Allow open TCP connections"},                                                    \
		{FLAG_BOOL_FIELD(struct criu_flags, tcp_close), .name = "tcp-close",                       \
		 .help = "Close TCP connections instead of keeping them"},                                 \
		{FLAG_BOOL_FIELD(struct criu_flags, ext_unix_sk), .name = "ext-unix-sk",                   \
		 .help = "Allow unix sockets whose other end is outside"},                                 \
		{FLAG_BOOL_FIELD(struct criu_flags, shell_job), .name = "shell-job",                       \
		 .help = "Allow processes on a terminal of the host"},                                     \
		{FLAG_BOOL_FIELD(struct criu_flags, lazy_pages), .name = "lazy-pages",                     \
		 .help = "Fetch memory pages when they are used, by userfaultfd"},                         \
		{FLAG_BOOL_FIELD(struct criu_flags, file_locks), .name = "file-locks",                     \
		 .help = "Allow file locks"},                                                              \
		{FLAG_CHOICE_FIELD(struct criu_flags, manage_cgroups_mode), .name = "manage-cgroups-mode", \
		 .values = "soft full strict ignore", .help = "What is done with cgroups (default soft)"}, \
		{FLAG_CHOICE_FIELD(struct criu_flags, network_lock), .name = "network-lock",               \
		 .values = "iptables nftables skip",                                                       \
		 .help = "How the network is blocked meanwhile (default: criu's choice)"},                 \
		{FLAG_LIST_FIELD(struct criu_flags, empty_ns), .name = "empty-ns", .metavar = "network",   \
		 .values = "network",                                                                      \
		 .help = "Make a namespace of this kind, but do not restore what is in it"},               \
		{FLAG_BOOL_FIELD(struct criu_flags, auto_dedup), .name = "auto-dedup",                     \
		 .help = "Free pages of parent images that newer ones replace"},                           \
	{                                                                                                  \
		FLAG_BOOL_FIELD(struct criu_flags, link_remap),                                            \
			.name = "link-remap", .help = "Allow open files whose name was removed"            \
	}

_must_check_ struct err *criu_flags_options(const struct invocation *in, struct rt_criu_options *ret);

#endif
