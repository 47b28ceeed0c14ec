/* SPDX-License-Identifier: Apache-2.0 */
/* HEALTHCHECK [OPTIONS] CMD command, or HEALTHCHECK NONE, as the object that docker's image configurations have. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/str.h"
#include "config_change.h"

#define DURATION_MAX_NS ((int64_t)365 * 24 * 3600 * 1000000000)
#define DURATION_MIN_NS ((int64_t)1000000)

/* Go's form: "1m30s", "500ms", "1.5h". Zero, or a millisecond at least. */
static struct err *parse_duration(const char *s, const char *what, int64_t *ret_ns)
{
	static const struct {
		const char *unit;
		int64_t ns;
	} units[] = {{"ns", 1},         {"us", 1000},       {"ms", 1000000},
		     {"s", 1000000000}, {"m", 60000000000}, {"h", 3600000000000}};
	const char *p = s;
	double total = 0;

	while (*p) {
		size_t digits = strspn(p, "0123456789."),
		       letters = strspn(p + digits, "abcdefghijklmnopqrstuvwxyz");
		_cleanup_free_ char *number = xstrndup(p, digits), *unit = xstrndup(p + digits, letters);
		int64_t nano, scale = 0;
		for (size_t i = 0; i < ARRAY_SIZE(units); i++)
			if (str_eq(unit, units[i].unit))
				scale = units[i].ns;
		if (digits == 0 || digits > 12 || (scale == 0 && !str_eq(s, "0")))
			return err_new(ERR_INVALID, "%s %.64s is no duration like 1m30s or 500ms", what, s);
		TRY(parse_decimal_nano(number, what, &nano));
		total += (double)nano / 1e9 * (double)scale;
		p += digits + letters;
	}
	if (!*s || total > (double)DURATION_MAX_NS || (total > 0 && total < (double)DURATION_MIN_NS))
		return err_new(ERR_INVALID, "%s %.64s must be 0, or between 1ms and a year", what, s);
	*ret_ns = (int64_t)total;
	return NULL;
}

static struct err *parse_flag(const char *flag, struct json *health)
{
	static const struct {
		const char *name, *key;
	} durations[] = {{"--interval", "Interval"},
			 {"--timeout", "Timeout"},
			 {"--start-period", "StartPeriod"},
			 {"--start-interval", "StartInterval"}};
	const char *equals = strchr(flag, '=');
	_cleanup_free_ char *name = equals ? xstrndup(flag, (size_t)(equals - flag)) : xstrdup(flag);
	int64_t value;

	if (!equals)
		return err_new(ERR_INVALID, "%s needs a value: %s=VALUE", flag, flag);
	if (str_eq(name, "--retries")) {
		TRY(parse_i64(equals + 1, "--retries", 0, INT32_MAX, &value));
		json_set_i64(health, "Retries", value);
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(durations); i++) {
		if (!str_eq(name, durations[i].name))
			continue;
		TRY(parse_duration(equals + 1, name, &value));
		json_set_i64(health, durations[i].key, value);
		return NULL;
	}
	return err_new(ERR_INVALID,
		       "there is no option %s; HEALTHCHECK has --interval, --timeout, "
		       "--start-period, --start-interval, --retries",
		       name);
}

struct err *config_health_parse(const char *args, char **(*json_words)(const char *), struct json **ret)
{
	_cleanup_json_ struct json *health = json_new_object();
	struct json *test = json_new_array();

	json_set(health, "Test", test);
	while (str_starts(args, "--")) {
		_cleanup_free_ char *flag = xstrndup(args, strcspn(args, " \t"));
		TRY(parse_flag(flag, health));
		args += strlen(flag);
		args += strspn(args, " \t");
	}
	size_t word = strcspn(args, " \t");
	const char *command = args + word + strspn(args + word, " \t");
	if (word == 4 && strncasecmp(args, "NONE", 4) == 0 && !*command) {
		json_append(test, json_new_string("NONE"));
	} else if (word == 3 && strncasecmp(args, "CMD", 3) == 0 && *command) {
		_cleanup_strv_ char **v = json_words(command);
		json_append(test, json_new_string(v ? "CMD" : "CMD-SHELL"));
		STRV_FOREACH (w, v)
			json_append(test, json_new_string(*w));
		if (!v)
			json_append(test, json_new_string(command));
	} else {
		return err_new(ERR_INVALID, "it needs CMD and a command, or NONE");
	}
	*ret = TAKE_PTR(health);
	return NULL;
}
