// SPDX-License-Identifier: Apache-2.0
/* "Did you mean …?": the nearest name by edit distance. */
#include "base/cleanup.h"
#include "base/str.h"
#include "command/command.h"

#define WORD_MAX 40

/* Optimal string alignment: insert, delete, replace, and swap of neighbours cost one each. */
unsigned suggest_distance(const char *a, const char *b, unsigned max)
{
	size_t n = strlen(a), m = strlen(b);
	if (n > WORD_MAX || m > WORD_MAX || n > m + max || m > n + max)
		return max + 1;
	unsigned rows[3][WORD_MAX + 1];
	unsigned *before = rows[0], *above = rows[1], *now = rows[2];

	for (size_t j = 0; j <= m; j++)
		above[j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		now[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			unsigned d = above[j - 1] + (a[i - 1] != b[j - 1]);
			d = MIN(d, above[j] + 1);
			d = MIN(d, now[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d = MIN(d, before[j - 2] + 1);
			now[j] = d;
		}
		unsigned *t = before;
		before = above;
		above = now;
		now = t;
	}
	return MIN(above[m], max + 1);
}

void suggest_offer(struct suggest *s, const char *candidate)
{
	size_t len = strlen(s->word);
	/* Short words: one error; longer ones two or three. A typed beginning of a word counts as near. */
	unsigned max = len < 4 ? 1 : len < 8 ? 2 : 3;
	unsigned d = suggest_distance(s->word, candidate, max);

	if (d > max && len >= 3 && str_starts(candidate, s->word))
		d = max;
	if (d > max || (s->best && d >= s->distance))
		return;
	s->best = candidate;
	s->distance = d;
}
