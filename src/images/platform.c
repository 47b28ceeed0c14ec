/* SPDX-License-Identifier: Apache-2.0 */
/* Platforms in Go's words, as image-spec's image-index.md uses them. */
#include <sys/utsname.h>

#include "base/memory.h"
#include "base/str.h"
#include "manifest.h"

static const struct {
	const char *machine, *architecture, *variant;
} machines[] = {
	{"x86_64", "amd64", ""},      {"aarch64", "arm64", "v8"},
	{"armv8l", "arm", "v8"},      {"armv7l", "arm", "v7"},
	{"armv6l", "arm", "v6"},      {"i686", "386", ""},
	{"i586", "386", ""},          {"i386", "386", ""},
	{"riscv64", "riscv64", ""},   {"ppc64le", "ppc64le", ""},
	{"s390x", "s390x", ""},       {"mips64", "mips64", ""},
	{"mips64el", "mips64le", ""}, {"loongarch64", "loong64", ""},
};

static void put(char *dst, size_t size, const char *s)
{
	size_t n = strnlen(s, size - 1);

	memcpy(dst, s, n);
	dst[n] = '\0';
}

struct platform platform_host(void)
{
	struct platform p = {.os = "linux"};
	struct utsname u;

	uname(&u);
	put(p.architecture, sizeof(p.architecture), u.machine);
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
		if (strcmp(machines[i].machine, u.machine) == 0) {
			put(p.architecture, sizeof(p.architecture), machines[i].architecture);
			put(p.variant, sizeof(p.variant), machines[i].variant);
		}
	}
	/* A 32-bit program under a 64-bit kernel is still asked to run the kernel's images: containers bring
	 * their own C library. */
	return p;
}

static bool word_valid(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._-");

	return n > 0 && s[0] != '.' && n < sizeof(((struct platform *)0)->os) && !s[n];
}

struct err *platform_parse(const char *s, struct platform *ret)
{
	_cleanup_strv_ char **words = strv_split(s, "/");
	struct platform p = {.os = "linux"};
	size_t n = strv_len(words);

	for (size_t i = 0; i < n; i++)
		if (!word_valid(words[i]))
			n = 0;
	if (n < 1 || n > 3)
		return err_new(ERR_INVALID,
			       "invalid platform \"%.80s\": expected OS/ARCHITECTURE[/VARIANT], for example "
			       "linux/arm64/v8",
			       s);
	if (n == 1) { /* as docker: one word is an operating system or an architecture */
		if (strcmp(words[0], "linux") == 0)
			p = platform_host();
		else
			put(p.architecture, sizeof(p.architecture), words[0]);
	} else {
		put(p.os, sizeof(p.os), words[0]);
		put(p.architecture, sizeof(p.architecture), words[1]);
		if (n == 3)
			put(p.variant, sizeof(p.variant), words[2]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(machines);
	     i++) /* x86_64, aarch64: the kernel's words are understood too */
		if (strcmp(machines[i].machine, p.architecture) == 0)
			put(p.architecture, sizeof(p.architecture), machines[i].architecture);
	*ret = p;
	return NULL;
}

char *platform_string(const struct platform *p)
{
	return xasprintf("%s/%s%s%s", p->os, p->architecture, p->variant[0] ? "/" : "", p->variant);
}

/* arm: v5…v8; arm64: v8, v8.1…, v9; amd64: v1…v4. Level times ten plus the digit behind the dot; an absent
 * variant is what every image of that architecture without a variant needs. -1: not a variant that we can
 * order. */
static int variant_level(const char *architecture, const char *variant)
{
	if (!*variant) {
		if (strcmp(architecture, "arm") == 0)
			return 70;
		if (strcmp(architecture, "arm64") == 0)
			return 80;
		if (strcmp(architecture, "amd64") == 0)
			return 10;
		return 0;
	}
	if (variant[0] != 'v' || variant[1] < '1' || variant[1] > '9')
		return -1;
	int level = (variant[1] - '0') * 10;
	if (variant[2] == '.' && variant[3] >= '0' && variant[3] <= '9' && !variant[4])
		return level + variant[3] - '0';
	return variant[2] ? -1 : level;
}

bool platform_matches(const struct platform *host, const struct platform *image)
{
	if (strcmp(host->os, image->os) != 0 || strcmp(host->architecture, image->architecture) != 0)
		return false;
	if (strcmp(host->variant, image->variant) == 0)
		return true;
	int can = variant_level(host->architecture, host->variant);
	int needs = variant_level(image->architecture, image->variant);
	return can >= 0 && needs >= 0 && needs <= can;
}

struct err *manifest_choose(const struct manifest *index, const struct platform *p,
			    const struct descriptor **ret)
{
	const struct descriptor *best = NULL;
	int best_level = -2;
	_cleanup_strbuf_ struct strbuf there = {0};

	for (size_t i = 0; i < index->n_entries; i++) {
		const struct descriptor *d = &index->entries[i];
		bool image = strcmp(d->media_type, MEDIA_OCI_MANIFEST) == 0 ||
			     strcmp(d->media_type, MEDIA_DOCKER_MANIFEST) == 0;
		if (!image)
			continue;
		int level = -1; /* an entry that names no platform serves when no other does */
		if (d->has_platform) {
			_cleanup_free_ char *name = platform_string(&d->platform);
			if (there.len < 400 && strcmp(d->platform.os, "unknown") != 0)
				strbuf_printf(&there, "%s%s", there.len ? ", " : "", name);
			if (!platform_matches(p, &d->platform))
				continue;
			level = strcmp(p->variant, d->platform.variant) == 0
					? 1000
					: variant_level(d->platform.architecture, d->platform.variant);
		}
		if (level > best_level) {
			best = d;
			best_level = level;
		}
	}
	if (!best) {
		_cleanup_free_ char *want = platform_string(p);
		return err_new(ERR_NOT_FOUND, "no image for platform %s; there is: %s", want,
			       there.len ? there.data : "none");
	}
	*ret = best;
	return NULL;
}
