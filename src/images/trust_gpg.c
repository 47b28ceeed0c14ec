/* SPDX-License-Identifier: Apache-2.0 */
/* OpenPGP by GnuPG's programs. gpgv knows no key but those it is given, needs no home directory and no agent; all that passes between us are
 * pipes and memory files, so that nothing is left behind. What counts is its status lines (GnuPG's doc/DETAILS), not its exit status alone: an expired
 * key's signature is "good" too. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/str.h"
#include "trust_policy.h"

#define CONTENT_MAX ((size_t)1 << 20)
#define STATUS_MAX ((size_t)256 << 10)
#define VERIFY_TIMEOUT_MS 60000
#define SIGN_TIMEOUT_MS (10 * 60 * 1000) /* somebody may have to find the passphrase */

/* -- keys ------------------------------------------------------------------------------------------------------- */

#define ARMOR_BEGIN "-----BEGIN PGP PUBLIC KEY BLOCK-----"
#define ARMOR_END "-----END PGP PUBLIC KEY BLOCK-----"

/* RFC 9580, 6.2: header lines, an empty line, base64, a checksum that begins with "=" (and which nobody has to check). */
static struct err *dearmor_block(const char *p, const char *end, struct strbuf *out)
{
	_cleanup_strbuf_ struct strbuf text = {0};
	_cleanup_free_ char *data = NULL;
	bool headers = true;
	size_t size;

	while (p < end) {
		const char *line_end = memchr(p, '\n', (size_t)(end - p));
		if (!line_end)
			line_end = end;
		size_t n = (size_t)(line_end - p);
		while (n && (p[n - 1] == '\r' || p[n - 1] == ' ' || p[n - 1] == '\t'))
			n--;
		if (headers && n && memchr(p, ':', n)) {
			p = line_end + 1;
			continue;
		}
		headers = false;
		if (n && *p == '=')
			break;
		strbuf_append(&text, p, n);
		p = line_end + 1;
	}
	TRY(base64_decode(strbuf_str(&text), &data, &size));
	strbuf_append(out, data, size);
	return NULL;
}

struct err *trust_key_dearmor(const char *text, size_t size, char **ret, size_t *ret_size)
{
	_cleanup_strbuf_ struct strbuf out = {0};
	const char *p = memmem(text, size, ARMOR_BEGIN, strlen(ARMOR_BEGIN)), *end = text + size;

	if (!p) {
		bool keybox = size > 12 && memcmp(text + 8, "KBXf", 4) == 0;
		if (keybox || size == 0 || !(*text & 0x80))
			return err_new(ERR_INVALID,
				       keybox ? "it is a keybox: `gpg --export` writes keys as they "
						"are needed here"
					      : "there are no OpenPGP keys in it");
		*ret = xmemdup(text, size);
		*ret_size = size;
		return NULL;
	}
	while (p) {
		p += strlen(ARMOR_BEGIN);
		const char *stop = memmem(p, (size_t)(end - p), ARMOR_END, strlen(ARMOR_END));
		if (!stop)
			return err_new(ERR_INVALID, "a PGP public key block does not end");
		const char *line = memchr(p, '\n', (size_t)(stop - p));
		if (line)
			TRY_WRAP(dearmor_block(line + 1, stop, &out), "a PGP public key block");
		p = memmem(stop, (size_t)(end - stop), ARMOR_BEGIN, strlen(ARMOR_BEGIN));
	}
	*ret_size = out.len;
	*ret = strbuf_take(&out);
	return NULL;
}

struct err *trust_key_read(const char *path, char **ret, size_t *ret_size)
{
	_cleanup_free_ char *text = NULL;
	size_t size;

	TRY(file_read(path, TRUST_KEY_SIZE_MAX, &text, &size));
	TRY_WRAP(trust_key_dearmor(text, size, ret, ret_size), "%s", path);
	return NULL;
}

static struct err *collect_keys(const struct trust_keys *keys, struct strbuf *all)
{
	STRV_FOREACH (path, keys->paths) {
		_cleanup_free_ char *key = NULL;
		size_t size;
		TRY(trust_key_read(*path, &key, &size));
		strbuf_append(all, key, size);
	}
	STRV_FOREACH (text, keys->data) {
		_cleanup_free_ char *decoded = NULL, *key = NULL;
		size_t size, key_size;
		TRY(base64_decode(*text, &decoded, &size));
		TRY_WRAP(trust_key_dearmor(decoded, size, &key, &key_size), "keyData");
		strbuf_append(all, key, key_size);
	}
	return NULL;
}

/* -- verifying -------------------------------------------------------------------------------------------------- */

static struct err *memory_file(const char *name, const void *data, size_t size, int *ret_fd)
{
	_cleanup_fd_ int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd < 0)
		return err_errno(errno, "cannot make a memory file");
	if (size) {
		TRY(fd_write_full(fd, data, size, name));
		if (lseek(fd, 0, SEEK_SET) < 0)
			return err_errno(errno, "cannot rewind a memory file");
	}
	*ret_fd = TAKE_FD(fd);
	return NULL;
}

/* What gpgv said in its status lines. */
struct verdict {
	unsigned signatures, good, valid, texts;
	char *fingerprint; /* of the primary key */
	char *trouble;     /* the line that says what is wrong */
};

static void verdict_release(struct verdict *v)
{
	free(v->fingerprint);
	free(v->trouble);
}

static void read_status(char *text, struct verdict *v)
{
	static const char *const bad[] = {"BADSIG",    "ERRSIG",    "EXPSIG",          "EXPKEYSIG",
					  "REVKEYSIG", "NO_PUBKEY", "NODATA",          "UNEXPECTED",
					  "FAILURE",   "BADARMOR",  "BEGIN_DECRYPTION"};
	_cleanup_strv_ char **lines = strv_split(text, "\n");

	STRV_FOREACH (line, lines) {
		_cleanup_strv_ char **words = strv_split(*line, " ");
		if (strv_len(words) < 2 || !str_eq(words[0], "[GNUPG:]"))
			continue;
		const char *word = words[1];
		v->signatures += str_eq(word, "NEWSIG");
		v->good += str_eq(word, "GOODSIG");
		v->texts += str_eq(word, "PLAINTEXT");
		if (str_eq(word, "VALIDSIG")) {
			size_t n = strv_len(words);
			v->valid++;
			free(v->fingerprint);
			v->fingerprint = xstrdup(words[n >= 12 ? 11 : 2]);
		}
		for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
			if (str_eq(word, bad[i]) && !v->trouble)
				v->trouble = xstrndup(*line + strlen("[GNUPG:] "), 200);
	}
}

static const char *trouble_words(const char *trouble)
{
	static const struct {
		const char *status, *words;
	} table[] = {
		{"BADSIG", "the signature does not fit what was signed"},
		{"ERRSIG", "it is not by one of the policy's keys"},
		{"NO_PUBKEY", "it is not by one of the policy's keys"},
		{"EXPSIG", "the signature has expired"},
		{"EXPKEYSIG", "its key has expired"},
		{"REVKEYSIG", "its key was revoked"},
	};

	for (size_t i = 0; trouble && i < ARRAY_SIZE(table); i++)
		if (str_starts(trouble, table[i].status))
			return table[i].words;
	return "it is no signed message";
}

static struct err *judge(const struct verdict *v, struct err *ran)
{
	_cleanup_err_ struct err *e = ran;

	if (e && e->kind != ERR_SYSTEM) /* not gpgv's own exit status */
		return TAKE_PTR(e);
	if (e || v->trouble || v->signatures != 1 || v->good != 1 || v->valid != 1 || v->texts != 1) {
		_cleanup_free_ char *shown = xstrdup(v->trouble ? v->trouble : "no valid signature");
		str_hide_controls(shown);
		return err_new(ERR_PERMISSION, "%s (gpgv: %s)", trouble_words(v->trouble), shown);
	}
	return NULL;
}

struct err *trust_gpg_verify(const struct trust_keys *keys, const char *signature, size_t size,
			     char **ret_content, size_t *ret_size, char **ret_fingerprint)
{
	static char *const argv[] = {(char *)"gpgv",
				     (char *)"--homedir",
				     (char *)"/nonexistent",
				     (char *)"--status-fd",
				     (char *)"3",
				     (char *)"--keyring",
				     (char *)"/dev/fd/4",
				     (char *)"--output",
				     (char *)"-",
				     (char *)"-",
				     NULL};
	static char *const env[] = {(char *)"LC_ALL=C", NULL};
	_cleanup_free_ char *path = process_locate("gpgv"), *content = NULL, *status = NULL;
	_cleanup_strbuf_ struct strbuf ring = {0};
	_cleanup_(verdict_release) struct verdict v = {0};
	_cleanup_fd_ int status_fd = -1, ring_fd = -1;
	size_t content_size, status_size;

	if (!path)
		return err_new(ERR_UNSUPPORTED,
			       "GPG signatures are checked by the program gpgv, which is not "
			       "installed (Debian: apt-get install gpgv)");
	struct err *unreadable = collect_keys(keys, &ring);
	if (unreadable)
		return err_wrap_kind(unreadable, ERR_STATE, "the policy's keys");
	TRY(memory_file("keys", ring.data, ring.len, &ring_fd));
	TRY(memory_file("status", NULL, 0, &status_fd));
	const int fds[] = {status_fd, ring_fd};
	struct process_spawn p = {.path = path,
				  .exec_fd = -1,
				  .argv = argv,
				  .env = env,
				  .stdio = {-1, -1, -1},
				  .fds = fds,
				  .n_fds = 2};
	struct err *ran =
		process_run(&p, signature, size, VERIFY_TIMEOUT_MS, CONTENT_MAX, &content, &content_size);
	if (lseek(status_fd, 0, SEEK_SET) < 0) {
		err_free(ran);
		return err_errno(errno, "cannot rewind a memory file");
	}
	struct err *e = file_read_fd(status_fd, "gpgv's status", STATUS_MAX, &status, &status_size);
	if (e) {
		err_free(ran);
		return e;
	}
	read_status(status, &v);
	TRY(judge(&v, ran));
	*ret_content = TAKE_PTR(content);
	*ret_size = content_size;
	if (ret_fingerprint)
		*ret_fingerprint = TAKE_PTR(v.fingerprint);
	return NULL;
}

/* -- signing ---------------------------------------------------------------------------------------------------- */

struct err *trust_gpg_sign(const char *key, const char *passphrase, const char *content, size_t size,
			   char **ret, size_t *ret_size)
{
	_cleanup_free_ char *path = process_locate("gpg");
	_cleanup_strv_ char **argv = NULL;
	_cleanup_fd_ int secret_fd = -1;

	if (!path)
		return err_new(ERR_UNSUPPORTED,
			       "GPG signatures are made by the program gpg, which is not installed "
			       "(Debian: apt-get install gpg)");
	strv_push(&argv, "gpg");
	strv_push(&argv, "--batch");
	strv_push(&argv, "--quiet");
	if (passphrase) {
		TRY(memory_file("passphrase", passphrase, strlen(passphrase), &secret_fd));
		strv_push(&argv, "--pinentry-mode=loopback");
		strv_push(&argv, "--passphrase-fd=3");
	}
	strv_push_take(&argv, xasprintf("--local-user=%s", key));
	strv_push(&argv, "--output=-");
	strv_push(&argv, "--sign");
	struct process_spawn p = {.path = path,
				  .exec_fd = -1,
				  .argv = argv,
				  .stdio = {-1, -1, -1},
				  .fds = &secret_fd,
				  .n_fds = passphrase ? 1 : 0};
	TRY_WRAP(process_run(&p, content, size, SIGN_TIMEOUT_MS, TRUST_SIGNATURE_MAX, ret, ret_size),
		 "cannot sign with the GPG key %s", key);
	return NULL;
}
