/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/inroot.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/str.h"
#include "base/timestamp.h"
#include "unit.h"

/* A directory of the test's own below the current one; the test's process removes it with tmp_remove. */
static char *tmp_make(void)
{
	char *path = xstrdup("/var/tmp/havre-base-XXXXXX");

	CHECK(mkdtemp(path));
	return path;
}

static void tmp_remove(char *path)
{
	CHECK_OK(file_remove_tree_at(AT_FDCWD, path));
	CHECK(access(path, F_OK) < 0);
	free(path);
}

static struct err *failing(void)
{
	TRY_WRAP(err_errno(ENOENT, "cannot open %s", "/x"), "reading the configuration");
	return NULL;
}

TEST(error_text_has_the_chain_and_errno)
{
	_cleanup_err_ struct err *e = failing();
	_cleanup_free_ char *text = err_text(e);

	CHECK_STR(text, "reading the configuration: cannot open /x: no such file or directory");
	CHECK(e->kind == ERR_NOT_FOUND && e->errnum == ENOENT);
}

TEST(error_crosses_a_socketpair_from_a_child_whole)
{
	int sv[2];
	struct err *got = NULL;

	CHECK_OK(fd_socketpair(SOCK_STREAM, sv));
	pid_t pid = fork();
	if (pid == 0) {
		_cleanup_err_ struct err *e = failing();
		_exit(err_send(sv[1], e) ? 1 : 0);
	}
	close(sv[1]);
	CHECK_OK(err_receive(sv[0], "the child", &got));
	_cleanup_free_ char *text = err_text(got);
	CHECK_STR(text, "reading the configuration: cannot open /x: no such file or directory");
	CHECK(got->cause && got->cause->kind == ERR_NOT_FOUND && got->cause->errnum == ENOENT);
	err_free(got);
	/* The child is gone now: that is an error too, and it names the peer. */
	_cleanup_err_ struct err *gone = err_receive(sv[0], "the child", &got);
	CHECK(gone && gone->kind == ERR_INTERNAL && strstr(gone->message, "the child"));
	close(sv[0]);
	waitpid(pid, NULL, 0);
}

TEST(error_decode_refuses_damage)
{
	unsigned char *data;
	size_t size;
	_cleanup_err_ struct err *e = failing();

	err_encode(e, &data, &size);
	for (size_t cut = 0; cut < size; cut++) {
		_cleanup_err_ struct err *d = err_decode(data, cut);
		CHECK(d);
	}
	data[0] = 0xff;
	_cleanup_err_ struct err *d = err_decode(data, size);
	CHECK(d->kind == ERR_INTERNAL);
	free(data);
}

TEST(strbuf_and_strv)
{
	_cleanup_strbuf_ struct strbuf b = {0};
	_cleanup_strv_ char **v = NULL;

	CHECK_STR(strbuf_str(&b), "");
	for (int i = 0; i < 1000; i++)
		strbuf_printf(&b, "%d,", i);
	v = strv_split(b.data, ",");
	CHECK(strv_len(v) == 1000);
	CHECK_STR(v[999], "999");
	_cleanup_free_ char *joined = strv_join(v, ",");
	CHECK(strlen(joined) == b.len - 1);
	CHECK(strv_contains(v, "77") && !strv_contains(v, "1000"));
}

TEST(env_set_replaces)
{
	_cleanup_strv_ char **env = NULL;

	env_set(&env, "A", "1");
	env_set(&env, "AB", "2");
	env_set(&env, "A", "3");
	CHECK(strv_len(env) == 2);
	CHECK_STR(env_get(env, "A"), "3");
	CHECK(!env_get(env, "B"));
}

TEST(numbers_are_strict)
{
	uint64_t u;
	int64_t i;
	uint32_t o;
	bool b;

	CHECK_OK(parse_u64("18446744073709551615", "n", 0, UINT64_MAX, &u));
	CHECK(u == UINT64_MAX);
	static const char *const bad[] = {"",   " 1", "1 ", "+1", "-1", "0x10", "1e3", "18446744073709551616",
					  "1.0"};
	for (size_t k = 0; k < ARRAY_SIZE(bad); k++)
		CHECK_ERR(parse_u64(bad[k], "n", 0, UINT64_MAX, &u), ERR_INVALID);
	CHECK_OK(parse_i64("-9223372036854775808", "n", INT64_MIN, INT64_MAX, &i));
	CHECK(i == INT64_MIN);
	CHECK_ERR(parse_i64("9223372036854775808", "n", INT64_MIN, INT64_MAX, &i), ERR_INVALID);
	CHECK_OK(parse_octal("0755", "mode", 07777, &o));
	CHECK(o == 0755);
	CHECK_ERR(parse_octal("8", "mode", 07777, &o), ERR_INVALID);
	CHECK_ERR(parse_bool("yes", "flag", &b), ERR_INVALID);
	CHECK_OK(parse_size("1.5m", "size", &u));
	CHECK(u == 1572864);
	CHECK_OK(parse_size("2GiB", "size", &u));
	CHECK(u == 2147483648u);
	CHECK_ERR(parse_size("9999999p", "size", &u), ERR_INVALID);
	CHECK_OK(parse_size("9223372036854775807", "size", &u));
	CHECK(u == INT64_MAX);
	CHECK_ERR(parse_size("9223372036854775808", "size", &u), ERR_INVALID);
	CHECK_OK(parse_size("8191.999999999p", "size", &u));
	CHECK(u == 9223372036853649908u);
	CHECK_ERR(parse_size("8192p", "size", &u), ERR_INVALID);
	CHECK_OK(parse_decimal_nano("9223372036.854775807", "cpus", &i));
	CHECK(i == INT64_MAX);
	CHECK_ERR(parse_decimal_nano("9223372036.854775808", "cpus", &i), ERR_INVALID);
	CHECK_ERR(parse_size("12x", "size", &u), ERR_INVALID);
	CHECK_ERR(parse_size("m", "size", &u), ERR_INVALID);
	CHECK_OK(parse_decimal_nano("0.5", "cpus", &i));
	CHECK(i == 500000000);
}

TEST(sizes_and_durations_read_like_dockers)
{
	static const struct {
		uint64_t n;
		const char *text;
	} sizes[] = {{0, "0B"},           {999, "999B"},   {1000, "1kB"},
		     {7754321, "7.75MB"}, {999999, "1MB"}, {1210000000, "1.21GB"}};
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_free_ char *s = format_size(sizes[i].n);
		CHECK_STR(s, sizes[i].text);
	}
	static const struct {
		int64_t n;
		const char *text;
	} times[] = {{0, "Less than a second"}, {30, "30 seconds"}, {70, "About a minute"},
		     {3600, "About an hour"},   {7200, "2 hours"},  {86400 * 3, "3 days"},
		     {86400 * 21, "3 weeks"}};
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		_cleanup_free_ char *s = format_duration(times[i].n);
		CHECK_STR(s, times[i].text);
	}
}

TEST(fds_cross_a_socket)
{
	int sv[2], got[2] = {-1, -1}, pipes[2];
	size_t n, n_fds;
	char byte;

	CHECK_OK(fd_socketpair(SOCK_SEQPACKET, sv));
	CHECK(pipe2(pipes, O_CLOEXEC) == 0);
	CHECK_OK(fd_send(sv[0], "x", 1, pipes, 2));
	CHECK_OK(fd_receive(sv[1], &byte, 1, &n, got, 2, &n_fds));
	CHECK(n == 1 && n_fds == 2 && (fcntl(got[0], F_GETFD) & FD_CLOEXEC));
	CHECK(write(got[1], "hello", 5) == 5 && read(pipes[0], &byte, 1) == 1 && byte == 'h');
	/* More than asked for is refused and nothing leaks. */
	CHECK_OK(fd_send(sv[0], "x", 1, pipes, 2));
	int before = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(before);
	CHECK_ERR(fd_receive(sv[1], &byte, 1, &n, got, 1, &n_fds), ERR_INVALID);
	int after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK(after == before);
}

TEST(fds_are_closed_together)
{
	int a[6], keep = -1;
	for (int i = 0; i < 6; i++)
		a[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	keep = a[3];
	a[3] = -1;
	int low = a[0], high = a[5];
	int *fds[] = {&a[5], &a[0], &a[3], &a[2], &a[1], &a[4]};
	fd_close_all(fds, 6);
	for (int i = 0; i < 6; i++)
		CHECK(a[i] == -1);
	for (int fd = low; fd <= high; fd++)
		CHECK((fcntl(fd, F_GETFD) >= 0) == (fd == keep));
	close(keep);
	fd_close_all(fds, 6); /* all gone: nothing happens */
	fd_close_all(NULL, 0);
}

TEST(unix_socket_with_a_long_path)
{
	SKIP_EMULATED("no openat2");
	char *dir = tmp_make();
	_cleanup_free_ char *deep = xasprintf("%s/%0100d/%0100d", dir, 1, 2);
	_cleanup_free_ char *path = xasprintf("%s/s.sock", deep);
	int listener, client;
	struct stat st;

	CHECK_OK(file_mkdir_p(deep, 0700));
	CHECK_OK(fd_unix_listen(path, SOCK_STREAM, &listener));
	CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
	CHECK_OK(fd_unix_connect(path, SOCK_STREAM, &client));
	close(listener);
	close(client);
	tmp_remove(dir);
}

TEST(inroot_never_leaves)
{
	SKIP_EMULATED("no openat2");
	char *dir = tmp_make();
	_cleanup_free_ char *root_path = xasprintf("%s/root", dir);
	_cleanup_inroot_ struct inroot root = INROOT_NONE;
	int fd;
	char *data;
	size_t size;

	CHECK(mkdir(root_path, 0755) == 0);
	CHECK_OK(inroot_open(root_path, &root));
	CHECK(symlinkat("../../../../../../etc", root.fd, "escape") == 0);
	CHECK(symlinkat("/etc/passwd", root.fd, "abs") == 0);
	CHECK(symlinkat("/proc/self/root", root.fd, "magic") == 0);
	CHECK_ERR(inroot_open_at(&root, "escape/passwd", O_RDONLY, 0, &fd), ERR_NOT_FOUND);
	CHECK_ERR(inroot_open_at(&root, "abs", O_RDONLY, 0, &fd), ERR_NOT_FOUND);
	CHECK_ERR(inroot_open_at(&root, "../../etc/passwd", O_RDONLY, 0, &fd), ERR_NOT_FOUND);
	/* The dangling links are followed inside: the directories appear below the root. */
	CHECK_OK(inroot_mkdir_p(&root, "escape/deep/er", 0755, &fd));
	close(fd);
	CHECK(faccessat(root.fd, "etc/deep/er", F_OK, 0) == 0);
	CHECK_OK(inroot_open_at(&root, "/abs", O_WRONLY | O_CREAT, 0644, &fd));
	CHECK(write(fd, "inside", 6) == 6);
	close(fd);
	CHECK_OK(inroot_read_file(&root, "/etc/passwd", 100, &data, &size));
	CHECK_STR(data, "inside");
	free(data);
	CHECK_ERR(inroot_read_file(&root, "/etc/passwd", 3, &data, &size), ERR_LIMIT);
	CHECK(mkfifoat(root.fd, "fifo", 0644) == 0);
	CHECK_ERR(inroot_read_file(&root, "fifo", 100, &data, &size), ERR_INVALID); /* does not block */
	CHECK(symlinkat("loop", root.fd, "loop") == 0);
	CHECK_ERR(inroot_mkdir_p(&root, "loop/x", 0755, &fd), ERR_INVALID);
	tmp_remove(dir);
}

TEST(inroot_open_parent_gives_a_real_name)
{
	SKIP_EMULATED("no openat2");
	_cleanup_inroot_ struct inroot root = INROOT_NONE;
	char *name;
	int fd;

	CHECK_OK(inroot_open("/", &root));
	CHECK_OK(inroot_open_parent(&root, "/etc/passwd/", &fd, &name));
	CHECK_STR(name, "passwd");
	CHECK(faccessat(fd, name, F_OK, 0) == 0);
	free(name);
	close(fd);
	static const char *const bad[] = {"", "/", ".", "a/..", "/.."};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_ERR(inroot_open_parent(&root, bad[i], &fd, &name), ERR_INVALID);
}

TEST(file_replace_is_atomic_and_leaves_nothing)
{
	char *dir = tmp_make();
	_cleanup_free_ char *path = xasprintf("%s/f", dir);
	char *data;

	CHECK_OK(file_replace_at(AT_FDCWD, path, "one", 3, 0644, FILE_VOLATILE));
	CHECK_OK(file_replace_at(AT_FDCWD, path, "two", 3, 0644, FILE_DURABLE));
	CHECK_OK(file_read(path, 10, &data, NULL));
	CHECK_STR(data, "two");
	free(data);
	CHECK_ERR(file_replace_at(AT_FDCWD, "/proc/nowhere", "x", 1, 0644, FILE_VOLATILE), ERR_NOT_FOUND);
	CHECK(unlink(path) == 0 && rmdir(dir) == 0); /* no temporary file beside it */
	free(dir);
}

TEST(remove_tree_handles_depth_and_stays_inside)
{
	SKIP_EMULATED("no openat2");
	char *dir = tmp_make();
	_cleanup_free_ char *outside = xasprintf("%s-outside", dir);
	int cur = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CHECK(mkdir(outside, 0755) == 0);
	CHECK(symlinkat(outside, cur, "link") == 0);
	for (int i = 0; i < 2500; i++) { /* deeper than PATH_MAX and than the number of fds */
		CHECK(mkdirat(cur, "d", 0755) == 0);
		int next = openat(cur, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		CHECK(next >= 0);
		close(cur);
		cur = next;
		close(openat(cur, "f", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	}
	close(cur);
	tmp_remove(dir);
	CHECK(rmdir(outside) == 0);
}

TEST(locks_exclude)
{
	SKIP_EMULATED("no openat2");
	char *dir = tmp_make();
	_cleanup_free_ char *path = xasprintf("%s/lock", dir);
	int a, b;

	CHECK_OK(file_lock_at(AT_FDCWD, path, FILE_LOCK_EXCLUSIVE, &a));
	CHECK_ERR(file_lock_at(AT_FDCWD, path, FILE_LOCK_TRY_EXCLUSIVE, &b), ERR_BUSY);
	close(a);
	CHECK_OK(file_lock_at(AT_FDCWD, path, FILE_LOCK_TRY_EXCLUSIVE, &b));
	close(b);
	tmp_remove(dir);
}

TEST(json_errors_name_the_property)
{
	static const char text[] =
		"{\"process\":{\"rlimits\":[{\"type\":\"A\"},{\"type\":7}]},\"big\":18446744073709551615,"
		"\"neg\":-1,\"f\":1.5,\"nul\":\"a\\u0000b\",\"null\":null}";
	_cleanup_json_ struct json *doc = NULL;
	struct json_cursor process, rlimits;
	const char *s = "default";
	uint64_t u = 0;
	int64_t i = 0;

	CHECK_OK(json_parse(text, strlen(text), "config.json", &doc));
	struct json_cursor root = json_root(doc);
	CHECK_OK(json_get_object(&root, "process", JSON_REQUIRED, &process));
	CHECK_OK(json_get_array(&process, "rlimits", JSON_REQUIRED, &rlimits));
	CHECK(json_array_len(&rlimits) == 2);
	struct json_cursor second = json_at(&rlimits, 1);
	_cleanup_err_ struct err *e = json_get_string(&second, "type", JSON_REQUIRED, &s);
	_cleanup_free_ char *message = err_text(e);
	CHECK_STR(message, "process.rlimits[1].type: is a number, must be a string");
	CHECK_OK(json_get_u64(&root, "big", JSON_REQUIRED, UINT64_MAX, &u));
	CHECK(u == UINT64_MAX);
	CHECK_ERR(json_get_i64(&root, "big", JSON_REQUIRED, INT64_MIN, INT64_MAX, &i), ERR_INVALID);
	CHECK_ERR(json_get_u64(&root, "neg", JSON_REQUIRED, UINT64_MAX, &u), ERR_INVALID);
	CHECK_ERR(json_get_i64(&root, "f", JSON_REQUIRED, 0, 10, &i), ERR_INVALID);
	CHECK_ERR(json_get_string(&root, "nul", JSON_OPTIONAL, &s), ERR_INVALID);
	CHECK_OK(json_get_string(&root, "null", JSON_OPTIONAL, &s));
	CHECK_STR(s, "default");
	CHECK_ERR(json_get_string(&root, "null", JSON_REQUIRED, &s), ERR_INVALID);
	size_t members = 0;
	struct json_iter it = json_iter(&root);
	for (struct json_cursor m; json_next(&it, &m);)
		members++;
	CHECK(members == 6);
}

TEST(json_refuses_what_is_not_json)
{
	struct json *doc;
	static const char *const bad[] = {"",    " ",         "{",    "[1,", "{\"a\":1}x", "tru",
					  "\"a", "{\"a\" 1}", "[1]]", "nul", "{'a':1}"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_ERR(json_parse(bad[i], strlen(bad[i]), "doc", &doc), ERR_INVALID);
	char deep[400];
	memset(deep, '[', sizeof(deep));
	CHECK_ERR(json_parse(deep, sizeof(deep), "doc", &doc), ERR_INVALID);
	static const char *const good[] = {"1", "null", " true ", "\"x\"", "{}\n", "-0.5"};
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		CHECK_OK(json_parse(good[i], strlen(good[i]), "doc", &doc));
		json_unref(doc);
	}
}

TEST(json_numbers_beyond_64_bits)
{
	static const char text[] =
		"{\"max\":18446744073709551615,\"min\":-9223372036854775808,"
		"\"over\":18446744073709551616,\"under\":-9223372036854775809,"
		"\"huge\":1000000000000000000000000000000,\"string\":\"18446744073709551616\","
		"\"fraction\":0.12345678901234567890123}";
	struct json *v = NULL;
	const char *s;
	uint64_t u = 0;
	int64_t i = 0;
	double d = 0;

	CHECK_OK(json_parse(text, strlen(text), "x", &v));
	struct json_cursor root = json_root(v), c;
	CHECK_OK(json_get_u64(&root, "max", JSON_REQUIRED, UINT64_MAX, &u));
	CHECK(u == UINT64_MAX);
	CHECK_OK(json_get_i64(&root, "min", JSON_REQUIRED, INT64_MIN, INT64_MAX, &i));
	CHECK(i == INT64_MIN);
	CHECK_ERR(json_get_u64(&root, "over", JSON_REQUIRED, UINT64_MAX, &u), ERR_INVALID);
	CHECK_ERR(json_get_i64(&root, "under", JSON_REQUIRED, INT64_MIN, INT64_MAX, &i), ERR_INVALID);
	CHECK_ERR(json_get_u64(&root, "huge", JSON_REQUIRED, UINT64_MAX, &u), ERR_INVALID);
	CHECK_OK(json_get(&root, "over", JSON_REQUIRED, &c));
	CHECK_OK(json_as_double(&c, &d));
	CHECK(d == 18446744073709551616.0);
	CHECK_OK(json_get_string(&root, "string", JSON_REQUIRED, &s));
	CHECK_STR(s, "18446744073709551616");
	CHECK_OK(json_get(&root, "fraction", JSON_REQUIRED, &c));
	CHECK_OK(json_as_double(&c, &d));
	CHECK(d > 0.1234 && d < 0.1235);
	json_unref(v);
}

TEST(json_prints_what_it_was_given)
{
	_cleanup_json_ struct json *o = json_new_object();
	struct strbuf q = {0};

	json_set_string(o, "s", "a\"\\\n\x01/é");
	json_set_u64(o, "u", UINT64_MAX);
	json_set(o, "n", NULL);
	json_set_strv(o, "v", (char *[]){(char *)"x", NULL});
	_cleanup_free_ char *compact = json_print(o, JSON_COMPACT);
	CHECK_STR(compact,
		  "{\"s\":\"a\\\"\\\\\\n\\u0001/é\",\"u\":18446744073709551615,\"n\":null,\"v\":[\"x\"]}");
	_cleanup_free_ char *pretty = json_print(o, JSON_PRETTY);
	CHECK(strstr(pretty, "{\n    \"s\": "));
	json_quote(&q,
		   "\xff"
		   "a\xed\xa0\x80",
		   5);
	CHECK_STR(q.data, "\"\xef\xbf\xbd"
			  "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	strbuf_release(&q);
}

TEST(spawn_gives_exactly_the_fds_asked_for)
{
	SKIP_EMULATED("vfork is fork");
	int pipes[2];
	char out[256] = "";
	size_t n;
	int stray = dup(0); /* not close-on-exec: must not be inherited */
	pid_t pid;
	int pidfd, status;

	CHECK(stray >= 3 && pipe2(pipes, O_CLOEXEC) == 0);
	char *argv[] = {(char *)"ls", (char *)"/proc/self/fd", NULL};
	struct process_spawn p = {
		.path = "/bin/ls", .argv = argv, .stdio = {-1, pipes[1], -1}, .fds = &pipes[1], .n_fds = 1};
	CHECK_OK(process_spawn(&p, &pid, &pidfd));
	close(pipes[1]);
	CHECK_OK(fd_read_full(pipes[0], out, sizeof(out) - 1, "pipe", &n));
	CHECK_OK(process_wait(pidfd, 10000, &status));
	CHECK(process_exit_code(status) == 0);
	CHECK_STR(out, "0\n1\n2\n3\n4\n"); /* 4 is ls reading the directory */
	p = (struct process_spawn){.path = "/nonexistent/program", .argv = argv, .stdio = {-1, -1, -1}};
	_cleanup_err_ struct err *e = process_spawn(&p, &pid, &pidfd);
	CHECK(e && e->kind == ERR_EXEC && e->errnum == ENOENT);
}

TEST(run_keeps_bounds)
{
	char *sh[] = {(char *)"sh", (char *)"-c", (char *)"cat; echo oops >&2; exit $CODE", NULL};
	char *env[] = {(char *)"CODE=0", (char *)"PATH=/bin:/usr/bin", NULL};
	struct process_spawn p = {.path = "/bin/sh", .argv = sh, .env = env, .stdio = {-1, -1, -1}};
	_cleanup_free_ char *big = xmalloc(300000);
	char *out;
	size_t n;

	memset(big, 'x', 300000);
	CHECK_OK(process_run(&p, big, 300000, 10000, 1 << 20, &out, &n));
	CHECK(n == 300000);
	free(out);
	CHECK_ERR(process_run(&p, big, 300000, 10000, 1000, &out, &n), ERR_LIMIT);
	env[0] = (char *)"CODE=3";
	_cleanup_err_ struct err *e = process_run(&p, NULL, 0, 10000, 1000, &out, &n);
	CHECK(e && strstr(e->message, "status 3: oops"));
	char *sleeper[] = {(char *)"sleep", (char *)"60", NULL};
	struct process_spawn s = {.path = "/bin/sleep", .argv = sleeper, .stdio = {-1, -1, -1}};
	CHECK_ERR(process_run(&s, NULL, 0, 50, 1000, &out, &n), ERR_TIMEOUT);
}

TEST(process_identity_survives_pid_reuse)
{
	uint64_t ticks;
	int pidfd;
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	CHECK_OK(process_start_time(pid, &ticks));
	CHECK_OK(process_open_exact(pid, ticks, &pidfd));
	CHECK(process_alive(pidfd));
	CHECK_ERR(process_open_exact(pid, ticks + 1, &pidfd), ERR_NOT_FOUND);
	CHECK_OK(process_signal(pidfd, SIGKILL));
	struct pollfd pfd = {.fd = pidfd, .events = POLLIN};
	CHECK(poll(&pfd, 1, 10000) == 1);
	CHECK(!process_alive(pidfd));
	CHECK_ERR(process_open_exact(pid, ticks, &pidfd), ERR_NOT_FOUND); /* a zombie is gone */
	waitpid(pid, NULL, 0);
	CHECK_ERR(process_open_exact(pid, ticks, &pidfd), ERR_NOT_FOUND);
}

TEST(signals_by_name_and_number)
{
	int s;

	CHECK_OK(signal_parse("TERM", &s));
	CHECK(s == SIGTERM);
	CHECK_OK(signal_parse("sigkill", &s));
	CHECK(s == SIGKILL);
	CHECK_OK(signal_parse("9", &s));
	CHECK(s == SIGKILL);
	CHECK_OK(signal_parse("SIGRTMIN+3", &s));
	CHECK(s == SIGRTMIN + 3);
	CHECK_ERR(signal_parse("65", &s), ERR_INVALID);
	CHECK_ERR(signal_parse("FOO", &s), ERR_INVALID);
	CHECK_ERR(signal_parse("RTMIN+99", &s), ERR_INVALID);
	CHECK_STR(signal_name(SIGHUP), "SIGHUP");
}

TEST(times_as_rfc3339)
{
	char text[TIMESTAMP_STRING_MAX];
	int64_t ns;

	CHECK_OK(timestamp_parse("2026-11-23T23:59:59.123456789+01:00", &ns));
	timestamp_format(ns, text);
	CHECK_STR(text, "2026-11-23T22:59:59.123456789Z");
	timestamp_format(0, text);
	CHECK_STR(text, "1970-01-01T00:00:00Z");
	CHECK_OK(timestamp_parse("0001-01-01T00:00:00Z", &ns));
	CHECK(ns == INT64_MIN);
	static const char *const bad[] = {"", "2026", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00",
					  "2026-01-01T00:00:00.Z"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_ERR(timestamp_parse(bad[i], &ns), ERR_INVALID);
}

TEST(log_is_json_when_asked)
{
	int pipes[2];
	char line[512] = "";
	_cleanup_json_ struct json *doc = NULL;
	const char *level = NULL, *msg = NULL;

	CHECK(pipe2(pipes, O_CLOEXEC) == 0);
	log_set_fd(pipes[1]);
	log_set_format(LOG_FORMAT_JSON);
	log_debug("not shown");
	log_error("bad \"thing\"");
	CHECK(read(pipes[0], line, sizeof(line) - 1) > 0);
	CHECK_OK(json_parse(line, strlen(line), "log line", &doc));
	struct json_cursor root = json_root(doc);
	CHECK_OK(json_get_string(&root, "level", JSON_REQUIRED, &level));
	CHECK_OK(json_get_string(&root, "msg", JSON_REQUIRED, &msg));
	CHECK_STR(level, "error");
	CHECK_STR(msg, "bad \"thing\"");
}

/* json_get_strv once allocated exactly, where strv_push counts on powers of two: an overrun of one pointer, for two elements. */
TEST(json_strv_can_grow)
{
	for (size_t n = 0; n < 20; n++) {
		_cleanup_json_ struct json *o = json_new_object();
		struct json *list = json_new_array();
		_cleanup_strv_ char **v = NULL;
		for (size_t i = 0; i < n; i++)
			json_append(list, json_new_string("x"));
		json_set(o, "v", list);
		struct json_cursor c = json_root(o);
		CHECK_OK(json_get_strv(&c, "v", JSON_REQUIRED, &v));
		CHECK(v && strv_len(v) == n);
		for (size_t i = 0; i < 20; i++)
			strv_push(&v, "more");
		CHECK(strv_len(v) == n + 20);
	}
}

TEST(str_hide_controls_keeps_text)
{
	char text[] = "a\tb\nc\x1b[2Jd\x7f\xc2\x9b\xc3\xa9\xc2\xa0\x07";
	str_hide_controls(text);
	CHECK(str_eq(text, "a\tb\nc?[2Jd???\xc3\xa9\xc2\xa0?"));
}

UNIT_MAIN
