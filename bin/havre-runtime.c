/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "oci.h"

#define HEAP_SIZE 65536 /* what a command needs at least */

#ifdef HAVRE_POPULATE
extern bool havre_protected;                          /* early.c */
extern const char havre_hot_start[], havre_hot_end[]; /* hot.ld */
#else
#define havre_protected false
#endif

/* The commands that put a process of ours where a container can see its executable. */
static const char *const enter_container[] = {"create", "run", "exec", NULL};

static bool names_command(int argc, char **argv, const char *const *commands)
{
	for (int i = 1; i < argc; i++)
		for (size_t c = 0; commands[c]; c++)
			if (strcmp(argv[i], commands[c]) == 0)
				return true;
	return false;
}

int main(int argc, char **argv)
{
	log_init("havre-runtime");
	/* First of all: it may execute us again, and what was done before is done twice. A value of a flag that looks like a command
	 * only costs that. */
	if (!havre_protected && names_command(argc, argv, enter_container)) {
		struct err *e = rt_executable_protect(argv);
		if (e) {
			oci_program.report(NULL, e);
			err_free(e);
			return 1;
		}
	}
#ifdef HAVRE_POPULATE
	memory_code_is(havre_hot_start, havre_hot_end);
#endif
	/* All of them end when their work is done. "events" goes on and on, and its documents with it. */
	if (!names_command(argc, argv, (const char *const[]){"events", NULL}))
		memory_leave();
	memory_expect(HEAP_SIZE);
	return command_main(&oci_program, argc, argv);
}
