// SPDX-License-Identifier: Apache-2.0
/* Which image a name without a registry means: the configuration says, or whoever sits at the terminal. */
#include "name_choice.h"

#include <stdio.h>
#include <unistd.h>

#include "cli.h"

static struct err *ask(const char *what, const struct short_name *names, char ***ret)
{
	size_t n = strv_len(names->names);

	printf("Several registries may have \"%s\":\n", what);
	for (size_t i = 0; i < n; i++)
		printf("  %zu  %s\n", i + 1, names->names[i]);
	while (true) {
		_cleanup_free_ char *answer = NULL;
		uint64_t chosen;
		TRY(cli_ask("Which one? ", false, &answer));
		if (!*answer)
			return err_new(ERR_CANCELLED, "no image was chosen");
		struct err *e = parse_u64(answer, "the answer", 1, n, &chosen);
		if (!e) {
			strv_push(ret, names->names[chosen - 1]);
			return NULL;
		}
		err_free(e);
		printf("A number from 1 to %zu, please.\n", n);
	}
}

struct err *cli_choose_names(const char *what, bool quiet, char ***ret_names, bool *ret_asked)
{
	_cleanup_short_name_ struct short_name names = {0};
	bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);

	TRY(short_name_resolve(what, &names));
	*ret_asked = false;
	if (strv_len(names.names) > 1 && names.mode != SHORT_NAME_DISABLED && terminal) {
		TRY(ask(what, &names, ret_names));
		*ret_asked = true;
		return NULL;
	}
	if (strv_len(names.names) > 1 && names.mode == SHORT_NAME_ENFORCING)
		return short_name_ambiguous(what, &names);
	if (names.alias && !quiet && !str_starts(names.names[0], "docker.io/"))
		fprintf(stderr, "Resolved \"%s\" as an alias: %s\n", what, names.names[0]);
	*ret_names = TAKE_PTR(names.names);
	return NULL;
}
