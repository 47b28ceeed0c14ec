/* SPDX-License-Identifier: Apache-2.0 */
/* The floor: the fewest system calls that make a container of the bench's configuration, run its program and take
 * everything away again. No configuration, no checks, no state: what a runtime spends above this is its own.
 *
 *	floor ROOTFS NAME COMMAND [ARG…]
 *
 * It is measured, not shipped. Errors end it with the line that failed. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(expr)                                                                                    \
	do {                                                                                           \
		if ((expr) < 0) {                                                                      \
			fprintf(stderr, "floor: line %d: %s: %s\n", __LINE__, #expr, strerror(errno)); \
			_exit(125);                                                                    \
		}                                                                                      \
	} while (0)

#define CGROUPS_MAX 16
static struct {
	char dir[256];
	int tasks;
} cgroups[CGROUPS_MAX];
static int n_cgroups, v2_fd = -1;

static void make_cgroups(const char *name)
{
	DIR *d = opendir("/sys/fs/cgroup");
	char path[300];

	if (!d)
		return;
	if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0) {
		snprintf(cgroups[0].dir, sizeof(cgroups[0].dir), "/sys/fs/cgroup/%.100s", name);
		CHECK(mkdir(cgroups[0].dir, 0755));
		CHECK(v2_fd = open(cgroups[0].dir, O_PATH | O_DIRECTORY | O_CLOEXEC));
		cgroups[n_cgroups++].tasks = -1;
		closedir(d);
		return;
	}
	for (struct dirent *e; (e = readdir(d)) && n_cgroups < CGROUPS_MAX;) {
		if (e->d_name[0] == '.' || e->d_type != DT_DIR)
			continue;
		snprintf(cgroups[n_cgroups].dir, sizeof(cgroups[0].dir), "/sys/fs/cgroup/%.60s/%.100s",
			 e->d_name, name);
		if (mkdir(cgroups[n_cgroups].dir, 0755) < 0)
			continue;
		if (strcmp(e->d_name, "cpuset") == 0) {
			/* An empty cpuset cannot be entered: copy the parent's. */
			static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
			for (int i = 0; i < 2; i++) {
				char value[256];
				snprintf(path, sizeof(path), "/sys/fs/cgroup/cpuset/%s", files[i]);
				int fd = open(path, O_RDONLY | O_CLOEXEC);
				ssize_t n = read(fd, value, sizeof(value));
				close(fd);
				snprintf(path, sizeof(path), "%s/%s", cgroups[n_cgroups].dir, files[i]);
				fd = open(path, O_WRONLY | O_CLOEXEC);
				CHECK(write(fd, value, (size_t)n));
				close(fd);
			}
		}
		snprintf(path, sizeof(path), "%s/tasks", cgroups[n_cgroups].dir);
		cgroups[n_cgroups].tasks = open(path, O_WRONLY | O_CLOEXEC);
		if (cgroups[n_cgroups].tasks < 0)
			v2_fd = open(cgroups[n_cgroups].dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
		n_cgroups++;
	}
	closedir(d);
}

static void make_mounts(const char *rootfs)
{
	static const struct {
		const char *name;
		unsigned minor;
	} nodes[] = {
		{"dev/null", 3}, {"dev/zero", 5}, {"dev/full", 7}, {"dev/random", 8}, {"dev/urandom", 9}};
	static const char *const masked[] = {"proc/kcore", "proc/keys", "proc/timer_list"};
	static const char *const readonly[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys",
					       "proc/sysrq-trigger"};

	CHECK(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL));
	CHECK(mount(rootfs, rootfs, NULL, MS_BIND | MS_REC, NULL));
	CHECK(chdir(rootfs));
	CHECK(mount("proc", "proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL));
	CHECK(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"));
	CHECK(mkdir("dev/pts", 0755));
	CHECK(mkdir("dev/shm", 0755));
	CHECK(mkdir("dev/mqueue", 0755));
	CHECK(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
		    "newinstance,ptmxmode=0666,mode=0620,gid=5"));
	CHECK(mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=1777,size=65536k"));
	CHECK(mount("mqueue", "dev/mqueue", "mqueue", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL));
	CHECK(mount("sysfs", "sys", "sysfs", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, NULL));
	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
		CHECK(mknod(nodes[i].name, S_IFCHR | 0666, makedev(1, nodes[i].minor)));
	CHECK(mknod("dev/tty", S_IFCHR | 0666, makedev(5, 0)));
	CHECK(symlink("/proc/self/fd", "dev/fd"));
	CHECK(symlink("pts/ptmx", "dev/ptmx"));
	for (size_t i = 0; i < sizeof(masked) / sizeof(masked[0]); i++)
		if (mount("dev/null", masked[i], NULL, MS_BIND, NULL) < 0 && errno != ENOENT)
			CHECK(-1);
	for (size_t i = 0; i < sizeof(readonly) / sizeof(readonly[0]); i++) {
		if (mount(readonly[i], readonly[i], NULL, MS_BIND, NULL) < 0 && errno == ENOENT)
			continue;
		CHECK(mount(NULL, readonly[i], NULL,
			    MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
	}
	CHECK(syscall(SYS_pivot_root, ".", "."));
	CHECK(umount2(".", MNT_DETACH));
	CHECK(chdir("/"));
}

static void child(char **argv)
{
	for (int i = 0; i < n_cgroups; i++)
		if (cgroups[i].tasks >= 0)
			CHECK(write(cgroups[i].tasks, "0", 1));
	CHECK(unshare(CLONE_NEWCGROUP));
	make_mounts(argv[1]);
	CHECK(sethostname("bench", 5));
	execv(argv[3], argv + 3);
	CHECK(-1);
}

int main(int argc, char **argv)
{
	struct clone_args args = {.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
					   CLONE_NEWUTS,
				  .exit_signal = SIGCHLD};
	int status;

	if (argc < 4) {
		fprintf(stderr, "usage: floor ROOTFS NAME COMMAND [ARG...]\n");
		return 125;
	}
	make_cgroups(argv[2]);
	if (v2_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)v2_fd;
	}
	long pid = syscall(SYS_clone3, &args, sizeof(args));
	CHECK(pid);
	if (pid == 0)
		child(argv);
	CHECK(waitpid((pid_t)pid, &status, 0));
	for (int i = 0; i < n_cgroups; i++)
		while (rmdir(cgroups[i].dir) < 0 && errno == EBUSY)
			usleep(100);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
