/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest.h"

#include <stdio.h>

#include "base/str.h"
#include "unit.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define D(type) "{\"mediaType\":\"" type "\",\"digest\":\"sha256:" HEX "\",\"size\":10}"
#define CONFIG D(MEDIA_OCI_CONFIG)
#define LAYER D(MEDIA_OCI_LAYER_GZIP)
#define ENTRY(n, platform)                                                                    \
	"{\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"digest\":\"sha256:" HEX "\",\"size\":" n \
	",\"platform\":{" platform "}}"

static struct err *parse(const char *text, const char *content_type, struct manifest **ret)
{
	return manifest_parse(text, strlen(text), content_type, ret);
}

TEST(image_manifest)
{
	_cleanup_manifest_ struct manifest *m = NULL;

	CHECK_OK(parse("{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[" LAYER "," LAYER "]}",
		       MEDIA_OCI_MANIFEST "; charset=utf-8", &m));
	CHECK(!m->is_index && m->n_entries == 2 && m->config.size == 10);
	CHECK_STR(m->media_type, MEDIA_OCI_MANIFEST);
	CHECK_STR(m->entries[1].media_type, MEDIA_OCI_LAYER_GZIP);
}

TEST(refused)
{
	static const struct {
		const char *text, *type;
		enum err_kind kind;
	} bad[] = {
		{"", NULL, ERR_INVALID},
		{"[]", NULL, ERR_INVALID},
		{"{}", NULL, ERR_INVALID},
		{"{\"schemaVersion\":1,\"fsLayers\":[]}", NULL, ERR_UNSUPPORTED},
		{"{\"schemaVersion\":2}", NULL, ERR_INVALID},
		{"{\"schemaVersion\":2,\"config\":" CONFIG "}", NULL, ERR_INVALID},
		{"{\"schemaVersion\":2,\"layers\":[]}", NULL, ERR_INVALID},
		{"{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":{}}", NULL, ERR_INVALID},
		{"{\"schemaVersion\":2,\"config\":" CONFIG
		 ",\"layers\":[{\"digest\":\"sha256:../../x\",\"size\":1}]}",
		 NULL, ERR_INVALID},
		{"{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[{\"digest\":\"sha256:" HEX
		 "\",\"size\":-1}]}",
		 NULL, ERR_INVALID},
		{"{\"schemaVersion\":2,\"config\":" D(
			 "application/vnd.cncf.helm.config.v1+json") ",\"layers\":[]}",
		 NULL, ERR_UNSUPPORTED},
		{"{\"schemaVersion\":2,\"mediaType\":\"application/json\",\"config\":" CONFIG
		 ",\"layers\":[]}",
		 NULL, ERR_UNSUPPORTED},
		/* CVE-2021-41190 */
		{"{\"schemaVersion\":2,\"manifests\":[],\"config\":" CONFIG ",\"layers\":[]}", NULL,
		 ERR_INVALID},
		{"{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}", MEDIA_OCI_INDEX, ERR_INVALID},
		{"{\"schemaVersion\":2,\"manifests\":[]}", MEDIA_OCI_MANIFEST, ERR_INVALID},
		{"{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[]}", MEDIA_OCI_INDEX, ERR_INVALID},
		{"{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_DOCKER_MANIFEST "\",\"config\":" CONFIG
		 ",\"layers\":[]}",
		 MEDIA_OCI_MANIFEST, ERR_INVALID},
	};
	struct manifest *m;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err *e = parse(bad[i].text, bad[i].type, &m);
		if (!e || e->kind != bad[i].kind)
			printf("# case %zu\n", i);
		CHECK(e && e->kind == bad[i].kind);
		err_free(e);
	}
}

static const char *choose(const char *index, const char *platform)
{
	static char size[32];
	_cleanup_manifest_ struct manifest *m = NULL;
	const struct descriptor *d;
	struct platform p;

	CHECK_OK(parse(index, NULL, &m));
	CHECK_OK(platform_parse(platform, &p));
	struct err *e = manifest_choose(m, &p, &d);
	if (e) {
		err_free(e);
		return "none";
	}
	snprintf(size, sizeof(size), "%llu", (unsigned long long)d->size);
	return size;
}

TEST(platform_choice)
{
	static const char index[] = "{\"schemaVersion\":2,\"manifests\":[" ENTRY(
		"1",
		"\"os\":\"linux\",\"architecture\":"
		"\"amd64\"") "," ENTRY("2",
				       "\"os\":"
				       "\"linux\","
				       "\"architecture"
				       "\":\"amd64\","
				       "\"variant\":"
				       "\"v3\"") "," ENTRY("3",
							   "\"os\":\"linux\",\"architecture\":\"arm\","
							   "\"variant\":\"v6\"") "," ENTRY("4",
											   "\"os\":\"linux\","
											   "\"architecture\":"
											   "\"arm\","
											   "\"variant\":"
											   "\"v7\"") "," ENTRY("5",
													       "\"os\":\"linux\",\"architecture\":\"arm64\",\"variant\":\"v8\"") "," ENTRY("6",
																							   "\"os\":"
																							   "\"window"
																							   "s\","
																							   "\"archit"
																							   "ecture\""
																							   ":\"amd64"
																							   "\"") "," ENTRY("7",
																									   "\"os\":\"linux\",\"architecture\":\"amd64\"") "," ENTRY("8",
																																    "\"os\":\"unknown\",\"architecture\":\"unknown\"") "]}";

	CHECK_STR(choose(index, "linux/amd64"), "1");
	CHECK_STR(choose(index, "linux/amd64/v2"), "1");
	CHECK_STR(choose(index, "linux/amd64/v3"), "2");
	CHECK_STR(choose(index, "linux/amd64/v4"), "2");
	CHECK_STR(choose(index, "linux/arm"), "4");
	CHECK_STR(choose(index, "linux/arm/v8"), "4");
	CHECK_STR(choose(index, "linux/arm/v6"), "3");
	CHECK_STR(choose(index, "linux/arm/v5"), "none");
	CHECK_STR(choose(index, "linux/arm64"), "5");
	CHECK_STR(choose(index, "aarch64"), "5");
	CHECK_STR(choose(index, "linux/arm64/v9"), "5");
	CHECK_STR(choose(index, "windows/amd64"), "6");
	CHECK_STR(choose(index, "linux/s390x"), "none");
}

TEST(platform_words)
{
	struct platform p;

	CHECK_ERR(platform_parse("", &p), ERR_INVALID);
	CHECK_ERR(platform_parse("linux/amd64/v2/x", &p), ERR_INVALID);
	CHECK_ERR(platform_parse("linux/../x", &p), ERR_INVALID);
	CHECK_ERR(platform_parse("linux/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", &p), ERR_INVALID);
	CHECK_OK(platform_parse("linux/x86_64", &p));
	CHECK_STR(p.architecture, "amd64");
}

TEST(config)
{
	struct image_config c = {0};
	static const char good[] =
		"{\"created\":\"2024-05-01T01:02:03Z\",\"architecture\":\"arm64\",\"os\":\"linux\","
		"\"variant\":\"v8\","
		"\"config\":{\"Cmd\":[\"x\"]},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:" HEX
		"\"]}}";

	CHECK_OK(image_config_parse(good, strlen(good), &c));
	CHECK(c.n_layers == 1 && c.created_ns == 1714525323LL * 1000000000);
	CHECK_STR(c.platform.variant, "v8");
	image_config_release(&c);
	static const char *const bad[] = {"{}",
					  "{\"rootfs\":[]}",
					  "{\"rootfs\":{\"diff_ids\":[1]}}",
					  "{\"rootfs\":{\"diff_ids\":[\"md5:00\"]}}",
					  "{\"config\":3,\"rootfs\":{}}",
					  "{\"created\":\"yesterday\",\"rootfs\":{}}",
					  "{\"os\":\"a/b\",\"rootfs\":{}}"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_ERR(image_config_parse(bad[i], strlen(bad[i]), &c), ERR_INVALID);
	static const char zero[] = "{\"created\":\"0001-01-01T00:00:00Z\",\"rootfs\":{}}";
	CHECK_OK(image_config_parse(zero, strlen(zero), &c));
	CHECK(c.created_ns == 0 && c.n_layers == 0);
	image_config_release(&c);
}

UNIT_MAIN
