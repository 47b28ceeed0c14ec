/* SPDX-License-Identifier: Apache-2.0 */
/* Scopes, identities, signatures as files, registries.d, and keys of cosign: what needs no registry and no gpg. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "trust_policy.h"
#include "trust_registries.h"
#include "trust_sigstore.h"
#include "trust_storage.h"
#include "unit.h"

TEST(scopes)
{
	struct reference r = {
		.domain = (char *)"a.b.example:5000", .path = (char *)"x/y", .tag = (char *)"v1"};
	_cleanup_strv_ char **v = trust_docker_scopes(&r);
	_cleanup_free_ char *all = strv_join(v, " ");

	CHECK_STR(all, "a.b.example:5000/x/y:v1 a.b.example:5000/x/y a.b.example:5000/x a.b.example:5000 "
		       "*.b.example *.example");
}

TEST(signature_files)
{
	static const char simple[] = "\xa3\x01\x02", old[] = "\0simple-signing\n\xa3\x01\x02";
	static const char *const bad[] = {"", "hello", "{}"};
	_cleanup_trust_signature_ struct trust_signature a = {0}, b = {0};

	CHECK_OK(trust_signature_parse(simple, 3, &a));
	CHECK_OK(trust_signature_parse(old, sizeof(old) - 1, &b));
	CHECK(a.kind == TRUST_SIGNATURE_SIMPLE && a.size == 3 && b.size == 3 &&
	      memcmp(a.data, b.data, 3) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_ERR(trust_signature_parse(bad[i], strlen(bad[i]), &a), ERR_INVALID);
	CHECK_ERR(trust_signature_parse("\0unknown\nx", 10, &a), ERR_INVALID);
}

TEST(signature_url)
{
	struct reference r = {.domain = (char *)"h:1", .path = (char *)"team/app", .tag = (char *)"v1"};
	struct digest d;

	digest_of("", 0, &d);
	_cleanup_free_ char *url = trust_signature_url("file:///s/", &r, &d, 2);
	CHECK_STR(url, "file:///s/team/app@sha256="
		       "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855/signature-2");
	CHECK_STR(trust_attachment_tag(&d).s,
		  "sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.sig");
}

TEST(payload)
{
	_cleanup_trust_payload_ struct trust_payload p = {0};
	struct digest d;

	digest_of("x", 1, &d);
	_cleanup_free_ char *text = trust_payload_text(&d, "h/p:t", TRUST_SIGNATURE_SIMPLE);
	CHECK_OK(trust_payload_parse(text, strlen(text), TRUST_SIGNATURE_SIMPLE, &p));
	CHECK(digest_equal(&p.manifest, &d));
	CHECK_STR(p.reference, "h/p:t");
	CHECK_ERR(trust_payload_parse(text, strlen(text), TRUST_SIGNATURE_SIGSTORE, &p), ERR_INVALID);
}

/* Each setting comes from the most specific scope that has it, whatever file says so. */
TEST(registries_d)
{
	char dir[] = "/tmp/havre-trust-test.XXXXXX";
	static const char one[] =
		"default-docker:\n  lookaside: file:///default\n  use-sigstore-attachments: true\n"
		"docker:\n  h.example/team:\n    sigstore: file:///team\n";
	static const char two[] = "docker:\n  h.example:\n    lookaside-staging: file:///staging\n"
				  "  \"*.org\": {lookaside: 'https://org'}\n";
	struct reference r = {.domain = (char *)"h.example", .path = (char *)"team/app", .tag = (char *)"v1"};
	struct reference other = {.domain = (char *)"www.x.org", .path = (char *)"a", .tag = (char *)"v1"};
	_cleanup_trust_place_ struct trust_place p = {0}, q = {0};

	CHECK(mkdtemp(dir) != NULL);
	_cleanup_free_ char *a = xasprintf("%s/1.yaml", dir), *b = xasprintf("%s/2.yaml", dir);
	CHECK_OK(file_replace_at(-100, a, one, strlen(one), 0600, FILE_VOLATILE));
	CHECK_OK(file_replace_at(-100, b, two, strlen(two), 0600, FILE_VOLATILE));
	CHECK_OK(trust_place_find(dir, &r, &p));
	CHECK_STR(p.lookaside, "file:///team");
	CHECK_STR(p.staging, "file:///team"); /* more specific than the staging of the whole host */
	CHECK(p.attachments);
	CHECK_OK(trust_place_find(dir, &other, &q));
	CHECK_STR(q.lookaside, "https://org");
	CHECK_OK(file_replace_at(-100, b, one, strlen(one), 0600, FILE_VOLATILE));
	CHECK_ERR(trust_place_find(dir, &r, &p), ERR_INVALID); /* twice */
	unlink(a);
	unlink(b);
	rmdir(dir);
}

TEST(dearmor)
{
	static const char armored[] =
		"x\n-----BEGIN PGP PUBLIC KEY BLOCK-----\r\nComment: y\r\n\r\nmA==\r\n=abcd\r\n"
		"-----END PGP PUBLIC KEY BLOCK-----\n";
	_cleanup_free_ char *out = NULL;
	size_t n;

	CHECK_OK(trust_key_dearmor(armored, strlen(armored), &out, &n));
	CHECK(n == 1 && (unsigned char)out[0] == 0x98);
}

UNIT_MAIN
