/* SPDX-License-Identifier: Apache-2.0 */
/* Which containers a command is about: those named, or podman's --all, --latest and --cidfile. */
#ifndef CLI_CONTAINER_CHOICE_H
#define CLI_CONTAINER_CHOICE_H

#include <limits.h>

#include "cli.h"

struct container_choice {
	bool all, latest, ignore;
	bool missing_ok; /* what does not exist is reported, and yet no failure */
	char **cidfiles; /* borrowed from argv */
};

/* Rows for a command's table of flags; its options hold the choice as `choice`. A letter of 0 leaves it to another flag. */
#define CONTAINER_CHOICE_FLAGS(type, all_letter, latest_letter)                                     \
	{FLAG_BOOL_FIELD(type, choice.all), .name = "all", .letter = (all_letter),                  \
	 .help = "All containers for which it makes sense"},                                        \
		{FLAG_LIST_FIELD(type, choice.cidfiles), .name = "cidfile", .metavar = "file",      \
		 .help = "Read the container's id from a file", .values = "@file"},                 \
		{FLAG_BOOL_FIELD(type, choice.ignore), .name = "ignore",                            \
		 .help = "What does not exist is no failure"},                                      \
	{                                                                                           \
		FLAG_BOOL_FIELD(type, choice.latest), .name = "latest", .letter = (latest_letter),  \
						      .help = "The container that was created last" \
	}

#define CONTAINER_STATE(status) (1u << (status))
#define CONTAINER_STATES_ANY UINT_MAX
#define CONTAINER_STATES_UP                                                       \
	(CONTAINER_STATE(CONTAINER_RUNNING) | CONTAINER_STATE(CONTAINER_PAUSED) | \
	 CONTAINER_STATE(CONTAINER_RESTARTING))

/* Runs f for each container that is chosen, prints its name as given (its id where it was not named) when `print` and f succeeded,
 * reports errors and goes on. `states`: the CONTAINER_STATEs that --all means. The status is 1 when one failed. The choice must not name
 * containers in two ways: that is a usage error, and so is none. */
_must_check_ struct err *
container_choice_each(struct invocation *in, const struct container_choice *choice, unsigned states,
		      bool print, int *ret_status,
		      struct err *(*f)(struct engine *e, struct container *c, void *user), void *user);

#endif
