/* SPDX-License-Identifier: Apache-2.0 */
/* What the quick reader takes it reads as json-c does; what is not plain, or not JSON, it leaves alone. */
#include "json_plain.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static bool same_as_json_c(const char *text)
{
	/* Exactly as long as it is: what is read beyond the end shows under the address sanitizer. */
	size_t size = strlen(text);
	char *exact = malloc(size + 1);
	struct json_object *plain = NULL, *full = json_tokener_parse(text);

	memcpy(exact, text, size);
	bool same = json_plain_parse(exact, size, &plain) && full && json_object_equal(plain, full) &&
		    strcmp(json_object_to_json_string(plain), json_object_to_json_string(full)) == 0;
	json_object_put(plain);
	json_object_put(full);
	free(exact);
	return same;
}

static bool taken(const char *text)
{
	struct json_object *o = NULL;
	bool yes = json_plain_parse(text, strlen(text), &o);

	json_object_put(o);
	return yes;
}

TEST(plain_documents_are_read_as_json_c_reads_them)
{
	static const char *const documents[] = {
		"{}",
		"[]",
		" \t\r\n{ } \n",
		"{\"a\":{\"b\":[{\"c\":[]}]}}",
		"[true,false,null,0,7,-1,999999999999999999,-999999999999999999,\"\",\"x y/z~\"]",
		"{\"twice\":1,\"other\":[1, 2,3 ,4 , 5,6,7,8,9],\"twice\":{\"last\":\"wins\"}}",
		"{\"\":\"an empty name\",\"n\":null}",
	};

	for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++)
		CHECK(same_as_json_c(documents[i]));
}

TEST(what_is_not_plain_is_left_alone)
{
	static const char *const documents[] = {
		"",
		" ",
		"7",
		"\"s\"",
		"true", /* no container */
		"{\"a\":\"\\n\"}",
		"[\"\xc3\xa9\"]",
		"[\"\x7f\"]",
		"[\"\t\"]", /* strings that are to be looked at */
		"[1.5]",
		"[1e3]",
		"[-0]",
		"[01]",
		"[+1]",
		"[1000000000000000000]",
		"[-]",
		"[- 1]",
		"[0x1]",
		"[1",
		"{",
		"[",
		"{]",
		"[}",
		"[1,]",
		"{\"a\":1,}",
		"{,}",
		"{\"a\"}",
		"{\"a\":}",
		"{a:1}",
		"{'a':1}",
		"[,1]",
		"[1 2]",
		"{} {}",
		"[]x",
		"[tru]",
		"[truefalse]",
		"[nul]",
		"[NaN]",
		"[\"open",
		"{\"a\":1 \"b\":2}",
		"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", /* deep */
	};

	for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++)
		CHECK(!taken(documents[i]));
	struct json_object *o = NULL;
	CHECK(!json_plain_parse("[1,\0002]", 6, &o));
}

UNIT_MAIN
