/* SPDX-License-Identifier: Apache-2.0 */
/* The mounts of a container. config.md "Mounts".
 *
 * Invariants
 *  M1 A mount is made detached (fsmount or open_tree), gets its attributes, and only then is attached: nobody sees it half done.
 *  M2 It is attached on a target that was resolved inside the root and is held (an O_PATH fd, or the working directory), or on an entry
 *     that we just made in a file system of ours that nobody else sees; never on a path that others can change (CVE-2021-30465).
 *  M3 The targets of proc, sysfs and /dev itself are not symlinks (CVE-2019-19921, CVE-2026-41579).
 *  M4 Nothing is mounted below a procfs but on a short list of files, and nothing but a procfs over one (CVE-2019-16884).
 *  M5 What is below /proc and /sys is masked through the fds of those mounts (CVE-2023-27561).
 *  M6 In a user namespace the flags that the host set on the root and on sources of binds are locked (mount_lock.c).
 */
#ifndef RUNTIME_MOUNTS_H
#define RUNTIME_MOUNTS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/inroot.h"
#include "runtime/cgroup.h"
#include "spec.h"

/* What the parent opens for the child: a detached clone of the source of each bind mount (-1 for others), with its id
 * mapping. `fds` has s->n_mounts entries. */
_must_check_ struct err *mounts_open_sources(const struct spec *s, int bundle_fd, int proc_fd, int *fds);

/* The mounts that masked and read-only paths are in, and the new tmpfs on /dev. They are found through these fds: their names in the root
 * file system can be changed by whoever shares it, and a mask would miss them. -1: none. */
struct mounts_kernel {
	int proc, sys, dev;
	bool in_dev; /* the working directory is `dev` */
};

#define MOUNTS_KERNEL_NONE                       \
	{                                        \
		.proc = -1, .sys = -1, .dev = -1 \
	}

struct mounts {
	const struct spec *spec;
	const struct inroot *root;
	const int *sources; /* NULL: the parent may not open them */
	int bundle_fd;
	const char *bundle; /* its path: for sources that only we, in the new namespaces, may bind */
	const struct rt_cgroup *cgroup; /* NULL: none */
	bool new_userns;
	struct mounts_kernel *ret_kernel; /* set by mounts_make, closed by the caller; NULL: not wanted */
};
_must_check_ struct err *mounts_make(const struct mounts *m);
/* When nothing is made in them any more: makes those read-only that are to be. */
_must_check_ struct err *mounts_finish(const struct mounts *m);
_must_check_ struct err *mounts_make_one(const struct mounts *m, size_t index);

/* mount(2) of a new file system on `name` in the working directory; "." is the directory itself. False when it cannot be done
 * in this way, or at all: the mount API then does it, and says why not. */
_must_check_ bool mount_in_place(const struct spec_mount *m, const char *name);
/* For a process that ends soon, or executes another: the first `n` of the fds that mounting is done with stay open, as closing each is a
 * system call. */
void mount_leave_fds(unsigned n);
/* Closes it, or leaves it. */
void mount_fd_done(const int *fd);
/* Attaches a detached mount on a target fd. */
_must_check_ struct err *mount_attach(int mount_fd, int target_fd, const char *what);
/* A detached clone of what `fd` (or dirfd and path) refers to. */
_must_check_ struct err *mount_clone(int dirfd, const char *path, unsigned flags, int *ret_fd);
/* A detached mount of a new file system; `data` are its options. */
_must_check_ struct err *mount_new(const char *type, const char *source, char *const *data,
				   unsigned attributes, int *ret_fd);
/* In a user namespace: what the host set on a mount that `fd` is a detached clone of (nosuid, nodev, noexec, ro) is there to stay. */
_must_check_ struct err *mount_lock(int fd, bool recursive, const char *what);
_must_check_ struct err *mount_change(int fd, unsigned flags, uint64_t set, uint64_t clear,
				      uint64_t propagation, const char *what);
/* What a symlink at the end of a target's path does: it is followed inside the root, or refused (M3), or is itself what is mounted on. */
enum target_link { TARGET_LINK_FOLLOWED, TARGET_LINK_REFUSED, TARGET_LINK_COVERED };
/* The target inside the root: made when missing, as a directory or as an empty file. */
_must_check_ struct err *mount_target(const struct inroot *root, const char *path, bool directory,
				      enum target_link link, int *ret_fd);
/* The directory of `path` inside the root, made when missing, and the last component; caller frees. */
_must_check_ struct err *mount_make_parent(const struct inroot *root, const char *path, int *ret_fd,
					   char **ret_name);

#endif
