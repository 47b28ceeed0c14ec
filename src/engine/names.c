/* SPDX-License-Identifier: Apache-2.0 */
/* Names and ids of containers. */
#include <stdio.h>
#include <sys/random.h>

#include "private.h"

/* 64 x 64 names; container_create adds digits when they run out. All of weather, landscape, ships and tools. */
static const char *const adjectives[64] = {
	"amber",   "azure",  "bold",   "brave",   "breezy", "bright",   "brisk",   "calm",
	"careful", "chilly", "clear",  "coastal", "copper", "crisp",    "curious", "deft",
	"distant", "eager",  "early",  "earnest", "fair",   "fleet",    "foggy",   "frosty",
	"gentle",  "glad",   "golden", "grand",   "handy",  "hardy",    "honest",  "humble",
	"ivory",   "jolly",  "keen",   "kind",    "lively", "lucid",    "lunar",   "mellow",
	"merry",   "misty",  "modest", "nimble",  "noble",  "northern", "patient", "plucky",
	"polar",   "proud",  "quick",  "quiet",   "rapid",  "rustic",   "salty",   "sandy",
	"silver",  "snowy",  "solid",  "steady",  "sunny",  "swift",    "tidal",   "windy",
};
static const char *const nouns[64] = {
	"anchor",  "anvil",    "atoll",   "barge",   "basin",  "bay",     "beacon", "bollard",
	"brig",    "buoy",     "canal",   "canoe",   "cape",   "capstan", "chart",  "cliff",
	"clipper", "compass",  "cove",    "crane",   "creek",  "cutter",  "delta",  "dinghy",
	"dock",    "dune",     "estuary", "ferry",   "fjord",  "galley",  "gull",   "harbor",
	"haven",   "hawser",   "heron",   "hull",    "inlet",  "island",  "jetty",  "kayak",
	"keel",    "ketch",    "lagoon",  "lantern", "lock",   "lugger",  "mast",   "mooring",
	"osprey",  "paddle",   "pier",    "pilot",   "puffin", "quay",    "reef",   "rudder",
	"sail",    "schooner", "sextant", "shoal",   "skiff",  "sloop",   "tern",   "tiller",
};

static void random_bytes(void *p, size_t n)
{
	/* Up to 256 bytes getrandom is whole or fails, and it fails only before the pool is ready: then it waits. */
	while (getrandom(p, n, 0) != (ssize_t)n)
		;
}

char *name_generate(void)
{
	unsigned char r[2];

	random_bytes(r, sizeof(r));
	return xasprintf("%s_%s", adjectives[r[0] % 64], nouns[r[1] % 64]);
}

void id_generate(char ret[static 65])
{
	unsigned char r[32];

	random_bytes(r, sizeof(r));
	for (size_t i = 0; i < sizeof(r); i++) {
		ret[2 * i] = "0123456789abcdef"[r[i] >> 4];
		ret[2 * i + 1] = "0123456789abcdef"[r[i] & 15];
	}
	ret[64] = '\0';
}

struct err *name_check(const char *name)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	static const char rest[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t n = strlen(name);

	if (n < 2 || n > 128 || strspn(name, first) == 0 || strspn(name, rest) != n)
		return err_new(ERR_INVALID,
			       "invalid container name \"%.64s\": it must be 2 to 128 characters of a-z, "
			       "A-Z, 0-9, \"_\", "
			       "\".\" and \"-\", and begin with a letter or digit",
			       name);
	return NULL;
}
