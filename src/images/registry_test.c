/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the registry client that need no registry; tests/integration/test_pull.py has the rest. */
#include "registry.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/toml.h"
#include "registry_challenge.h"
#include "unit.h"

TEST(challenges)
{
	_cleanup_challenges_ struct challenges c = {0};

	CHECK_OK(challenge_parse("Bearer realm=\"https://auth.example/token\",service=\"reg\" , "
				 "scope=\"repository:a/b:pull,push\"",
				 &c));
	CHECK(c.n == 1 && c.v[0].scheme == CHALLENGE_BEARER);
	CHECK_STR(c.v[0].realm, "https://auth.example/token");
	CHECK_STR(c.v[0].service, "reg");
	CHECK_STR(c.v[0].scope, "repository:a/b:pull,push");
	CHECK(!c.v[0].error);
	challenges_release(&c);
	CHECK_OK(challenge_parse("Negotiate, NTLM abc==, bAsIc realm=\"a \\\"b\\\"\", Bearer "
				 "error=\"insufficient_scope\",realm=x",
				 &c));
	CHECK(c.n == 4 && c.v[0].scheme == CHALLENGE_OTHER && c.v[2].scheme == CHALLENGE_BASIC &&
	      c.v[3].scheme == CHALLENGE_BEARER);
	CHECK_STR(c.v[2].realm, "a \"b\"");
	CHECK_STR(c.v[3].error, "insufficient_scope");
	CHECK_STR(c.v[3].realm, "x");
	challenges_release(&c);
	CHECK_OK(challenge_parse("Basic", &c));
	CHECK(c.n == 1 && c.v[0].scheme == CHALLENGE_BASIC);
	challenges_release(&c);
	static const char *const bad[] = {"Bearer realm=\"open", "Bearer realm=\"a\"b",   "=x",
					  "Bearer realm=",       "Bearer realm=\"a\nb\"", "\"quoted\""};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK_ERR(challenge_parse(bad[i], &c), ERR_INVALID);
		challenges_release(&c);
	}
}

TEST(base64)
{
	static const char *const pairs[][2] = {{"", ""},
					       {"a", "YQ=="},
					       {"ab", "YWI="},
					       {"abc", "YWJj"},
					       {"user:p\xc3\xa4ss", "dXNlcjpww6Rzcw=="}};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		_cleanup_free_ char *encoded = base64_encode(pairs[i][0], strlen(pairs[i][0]));
		_cleanup_free_ char *decoded = NULL;
		size_t size;
		CHECK_STR(encoded, pairs[i][1]);
		CHECK_OK(base64_decode(encoded, &decoded, &size));
		CHECK(size == strlen(pairs[i][0]));
		CHECK_STR(decoded, pairs[i][0]);
	}
	char *data;
	size_t size;
	CHECK_ERR(base64_decode("a", &data, &size), ERR_INVALID);
	CHECK_ERR(base64_decode("YW-=", &data, &size), ERR_INVALID);
}

TEST(loopback)
{
	static const char *const yes[] = {"localhost",    "localhost:5000", "LOCALHOST:1", "127.0.0.1",
					  "127.9.8.7:80", "[::1]",          "[::1]:5000"};
	static const char *const no[] = {"localhost.example.org",
					 "128.0.0.1",
					 "127.0.0.1.example.org",
					 "[::2]:1",
					 "[::11]",
					 "x",
					 "10.0.0.1"};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		CHECK(host_is_loopback(yes[i]));
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		CHECK(!host_is_loopback(no[i]));
}

static char dir[64];

static void remove_dir(void)
{
	err_free(file_remove_tree_at(AT_FDCWD, dir));
}

static const char *write_file(const char *name, const char *text, mode_t mode)
{
	static char path[200];

	if (!dir[0]) {
		snprintf(dir, sizeof(dir), "/tmp/havre-registry-XXXXXX");
		CHECK(mkdtemp(dir));
		atexit(remove_dir);
	}
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	CHECK_OK(file_replace_at(AT_FDCWD, path, text, strlen(text), mode, FILE_VOLATILE));
	return path;
}

static void check_user(const char *domain, const char *path, const char *user, const char *password)
{
	_cleanup_credentials_ struct credentials c = {0};

	CHECK_OK(credentials_find(domain, path, &c));
	if (!user) {
		CHECK(!c.username && !c.source);
		return;
	}
	CHECK_STR(c.username, user);
	CHECK_STR(c.password, password);
}

/* The most specific entry wins; whole components only. */
TEST(credential_files)
{
	setenv("REGISTRY_AUTH_FILE",
	       write_file(
		       "auth.json",
		       "{\"auths\":{\"r.example\":{\"auth\":\"YTph\"},\"r.example/team\":{\"auth\":\"Yjpi\"},"
		       "\"r.example/team/app\":{\"auth\":\"YzpjOmM=\"},\"https://index.docker.io/v1/"
		       "\":{\"auth\":\"aDpo\"},"
		       "\"plain:5000\":{\"username\":\"u\",\"password\":\"p\"},\"token.example\":{\"auth\":"
		       "\"eDp5\",\"identitytoken\":\"T\"},"
		       "\"bad.example\":{\"auth\":\"!\"}}}",
		       0600),
	       1);
	check_user("r.example", "x", "a", "a");
	check_user("r.example", "team/other", "b", "b");
	check_user("r.example", "team/app", "c", "c:c");
	check_user("r.example", "team/application", "b", "b");
	check_user("r.example", "teams", "a", "a");
	check_user("docker.io", "library/debian", "h", "h");
	check_user("plain:5000", "x", "u", "p");
	check_user("plain:5001", "x", NULL, NULL);
	check_user("r.example.org", "x", NULL, NULL);
	_cleanup_credentials_ struct credentials c = {0};
	CHECK_OK(credentials_find("token.example", "x", &c));
	CHECK_STR(c.identity_token, "T");
	credentials_release(&c);
	CHECK_ERR(credentials_find("bad.example", "x", &c), ERR_INVALID);
	setenv("REGISTRY_AUTH_FILE", write_file("auth.json", "{", 0600), 1);
	CHECK_ERR(credentials_find("r.example", "x", &c), ERR_INVALID);
	setenv("REGISTRY_AUTH_FILE", "/nowhere/auth.json", 1);
	check_user("r.example", "x", NULL, NULL);
}

TEST(credential_helpers)
{
	write_file("docker-credential-good",
		   "#!/bin/sh\nread server\necho '{\"Username\":\"helper\",\"Secret\":\"'$server'\"}'\n",
		   0700);
	write_file("docker-credential-none",
		   "#!/bin/sh\necho credentials not found in native keychain\nexit 1\n", 0700);
	setenv("REGISTRY_AUTH_FILE",
	       write_file("auth.json",
			  "{\"credHelpers\":{\"r.example\":\"good\",\"none.example\":\"none\",\"gone."
			  "example\":\"gone\",\"evil.example\":\"../x\"},"
			  "\"auths\":{\"none.example\":{\"auth\":\"YTph\"}}}",
			  0600),
	       1);
	_cleanup_free_ char *path = xasprintf("%s:/bin:/usr/bin", dir);
	setenv("PATH", path, 1);
	check_user("r.example", "x", "helper", "r.example");
	check_user("none.example", "x", "a", "a");
	check_user("gone.example", "x", NULL, NULL);
	struct credentials c;
	CHECK_ERR(credentials_find("evil.example", "x", &c), ERR_INVALID);
}

/* "mirror.example/x http registry.example/x": where a name is fetched from. */
static char *sources(const char *domain, const char *path, enum registry_use use)
{
	_cleanup_(registry_endpoints_release) struct registry_endpoints all = {0};
	struct strbuf b = {0};

	CHECK_OK(registry_endpoints(domain, path, use, &all));
	for (size_t i = 0; i < all.n; i++)
		strbuf_printf(&b, "%s%s/%s%s", i ? " " : "", all.v[i].domain, all.v[i].path,
			      all.v[i].insecure ? "!" : "");
	return strbuf_take(&b);
}

static bool insecure(const char *domain, const char *path)
{
	_cleanup_free_ char *s = sources(domain, path, REGISTRY_WRITE);

	return str_ends(s, "!");
}

TEST(insecure_registries)
{
	setenv("CONTAINERS_REGISTRIES_CONF",
	       write_file("registries.conf",
			  "unqualified-search-registries = [\"a\"]\n# insecure = "
			  "true\n[[registry]]\nlocation = \"plain.example:5000\"\n"
			  "insecure = true # yes\n\n[[registry]]\n  prefix = 'mixed.example/open'\n  "
			  "insecure=true\n"
			  "[[registry.mirror]]\ninsecure = true\n[[registry]]\nprefix = "
			  "\"*.lab.example\"\ninsecure = true\n"
			  "[[registry]]\nprefix = \"safe.lab.example\"\ninsecure = false\n",
			  0600),
	       1);
	CHECK(insecure("plain.example:5000", "x"));
	CHECK(!insecure("plain.example", "x"));
	CHECK(insecure("mixed.example", "open/x"));
	CHECK(!insecure("mixed.example", "opened"));
	CHECK(insecure("a.lab.example", "x"));
	CHECK(insecure("a.lab.example:80", "x"));
	CHECK(!insecure("lab.example", "x"));
	CHECK(!insecure("safe.lab.example", "x"));
	CHECK(!insecure("other", "x"));
}

static void check_sources(const char *domain, const char *path, enum registry_use use, const char *expected)
{
	_cleanup_free_ char *s = sources(domain, path, use);

	CHECK_STR(s, expected);
}

/* containers-registries.conf(5): mirrors, rewriting, the longest prefix. */
TEST(mirrors_and_rewriting)
{
	setenv("CONTAINERS_REGISTRIES_CONF",
	       write_file(
		       "registries.conf",
		       "[[registry]]\nprefix = \"docker.io\"\nlocation = \"docker.io\"\n"
		       "[[registry.mirror]]\nlocation = \"m1.example:5000/cache/\"\ninsecure = true\n"
		       "[[registry.mirror]]\nlocation = \"m2.example\"\npull-from-mirror = \"digest-only\"\n"
		       "[[registry.mirror]]\nlocation = \"m3.example\"\npull-from-mirror = \"tag-only\"\n"
		       "[[registry]]\nprefix = \"docker.io/library\"\nlocation = \"own.example/base\"\n"
		       "[[registry]]\nprefix = \"*.cloud.example\"\nlocation = \"in.example/all\"\n"
		       "mirror-by-digest-only = true\nmirror = [{location = \"near.example\"}]\n"
		       "[[registry]]\nlocation = \"bad.example\"\nblocked = true\n",
		       0600),
	       1);
	check_sources("docker.io", "team/app", REGISTRY_READ_TAG,
		      "m1.example:5000/cache/team/app! m3.example/team/app docker.io/team/app");
	check_sources("docker.io", "team/app", REGISTRY_READ_DIGEST,
		      "m1.example:5000/cache/team/app! m2.example/team/app docker.io/team/app");
	check_sources("docker.io", "team/app", REGISTRY_WRITE, "docker.io/team/app");
	check_sources("docker.io", "library/debian", REGISTRY_READ_TAG, "own.example/base/debian");
	check_sources("a.cloud.example:1", "x", REGISTRY_READ_TAG, "in.example/all/x");
	check_sources("a.cloud.example:1", "x", REGISTRY_READ_DIGEST, "near.example/x in.example/all/x");
	check_sources("docker.io", "", REGISTRY_LOGIN, "docker.io/");
	check_sources("other.example", "x/y", REGISTRY_READ_TAG, "other.example/x/y");
	struct registry_endpoints all;
	CHECK_ERR(registry_endpoints("bad.example", "x", REGISTRY_READ_TAG, &all), ERR_PERMISSION);
	CHECK_ERR(registry_endpoints("bad.example", "x", REGISTRY_WRITE, &all), ERR_PERMISSION);
}

static void check_refused(const char *text, const char *says)
{
	struct registry_endpoints all;

	setenv("CONTAINERS_REGISTRIES_CONF", write_file("registries.conf", text, 0600), 1);
	struct err *e = registry_endpoints("a.example", "x", REGISTRY_READ_TAG, &all);
	CHECK(e && e->kind == ERR_INVALID);
	_cleanup_free_ char *words = err_text(e);
	if (!strstr(words, says))
		CHECK_STR(words, says);
	err_free(e);
}

TEST(registry_configuration_errors)
{
	check_refused("[[registry]]\ninsecure = true\n", "neither prefix nor location");
	check_refused("[[registry]]\nlocation = 5\n", "line 2: location must be a string");
	check_refused("[[registry]]\nlocation = \"a.example\"\n\ninsecure = \"yes\"\n",
		      "line 4: insecure must be true or false");
	check_refused("[[registry.mirror]]\n", "without a [[registry]]");
	check_refused(
		"[[registry]]\nlocation = \"a.example\"\n[[registry.mirror]]\npull-from-mirror = \"no\"\n",
		"tag-only");
	check_refused("x = \n", "line 1: a value is missing");
	check_refused("x = \"a\n", "does not end");
	check_refused("[[registry]\n", "\"]\" is missing");
	check_refused("x = 1 2\n", "more behind");
	check_refused("x = [[[[[[[[[[1]]]]]]]]]]\n", "nested too deeply");
	check_refused("x = \"\\q\"\n", "unknown escape");
	check_refused("x = maybe\n", "neither a string");
}

static struct err *collect_event(void *user, const struct toml_event *e)
{
	struct strbuf *b = user;

	strbuf_printf(b, "%s|%s=", e->table, e->key);
	if (e->kind == TOML_STRING)
		strbuf_puts(b, e->text);
	else if (e->kind == TOML_BOOL)
		strbuf_puts(b, e->boolean ? "yes" : "no");
	STRV_FOREACH (s, e->list)
		strbuf_printf(b, "<%s>", *s);
	strbuf_putc(b, ';');
	return NULL;
}

/* Every kind of value and key that the format has. */
TEST(toml)
{
	static const char text[] =
		"\xef\xbb\xbf# first\r\na.'b c' = \"x\\t\\u00e4\\U0001F600\"\r\n"
		"m = \"\"\"\none \\\n   two \"\" three\"\"\"\n"
		"l = '''raw \\n'''\n"
		"[t.u] # table\nyes = true\nno=false\nn = -1_0.5e3\nd = 1979-05-27T07:32:00Z\n"
		"v = [\"p\", # c\n 'q', 3, [\"inner\"],\n]\ni = {k = \"w\", z = {y = true}}\n";
	_cleanup_strbuf_ struct strbuf b = {0};

	CHECK_OK(toml_parse(text, sizeof(text) - 1, "t", collect_event, &b));
	CHECK_STR(strbuf_str(&b),
		  "|a.b c=x\t\xc3\xa4\xf0\x9f\x98\x80;|m=one two \"\" three;|l=raw \\n;t.u|=;t.u|yes=yes;"
		  "t.u|no=no;t.u|n=;t.u|d=;t.u|v=<p><q>;t.u.i|=;t.u.i|k=w;t.u.i.z|=;t.u.i.z|y=yes;");
}

UNIT_MAIN
