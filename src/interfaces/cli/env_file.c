// SPDX-License-Identifier: Apache-2.0
/* Environment variables of --env and --env-file. docker's rules: no quoting, no expansion; '#' begins a comment only at the start of a line;
 * leading blanks of a line are dropped, a name holds no blanks; a name alone takes the value of our environment. */
#include <ctype.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "cli.h"

#define ENV_FILE_MAX (1u << 20)

struct err *env_argument(const char *s, char *const *environment, char ***env)
{
	size_t name_len = strcspn(s, "=");

	if (name_len == 0)
		return err_new(ERR_INVALID,
			       "invalid environment variable \"%s\": the name is empty (NAME=value)", s);
	if (s[name_len] == '=') {
		strv_push(env, s);
		return NULL;
	}
	const char *value = env_get(environment, s);
	if (value)
		strv_push_take(env, xasprintf("%s=%s", s, value));
	return NULL;
}

static struct err *parse_line(const char *line, size_t len, const char *what, size_t number,
			      char *const *environment, char ***env)
{
	while (len && (*line == ' ' || *line == '\t')) {
		line++;
		len--;
	}
	if (len && line[len - 1] == '\r')
		len--;
	if (len == 0 || *line == '#')
		return NULL;
	if (memchr(line, '\0', len))
		return err_new(ERR_INVALID, "%s, line %zu: a NUL byte; is this a text file?", what, number);

	_cleanup_free_ char *s = xstrndup(line, len);
	size_t name_len = strcspn(s, "=");
	if (name_len == 0)
		return err_new(ERR_INVALID, "%s, line %zu: the variable has no name", what, number);
	for (size_t i = 0; i < name_len; i++)
		if (isspace((unsigned char)s[i]))
			return err_new(ERR_INVALID,
				       "%s, line %zu: the variable's name \"%.*s\" contains white space",
				       what, number, (int)MIN(name_len, (size_t)40), s);
	return env_argument(s, environment, env);
}

struct err *env_file_parse(const char *text, size_t size, const char *what, char *const *environment,
			   char ***env)
{
	size_t number = 0;

	if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
		text += 3;
		size -= 3;
	}
	while (size) {
		const char *end = memchr(text, '\n', size);
		size_t len = end ? (size_t)(end - text) : size;
		TRY(parse_line(text, len, what, ++number, environment, env));
		size -= end ? len + 1 : len;
		text += len + 1;
	}
	return NULL;
}

struct err *env_file_read(const char *path, char *const *environment, char ***env)
{
	_cleanup_free_ char *text = NULL;
	size_t size;

	TRY(file_read(path, ENV_FILE_MAX, &text, &size));
	return env_file_parse(text, size, path, environment, env);
}
