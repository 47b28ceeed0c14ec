/* SPDX-License-Identifier: Apache-2.0 */
/* The parsed template: made by template_parse.c, walked by template_run.c. All of it lives in the template's
 * blocks. */
#ifndef COMMAND_TEMPLATE_TREE_H
#define COMMAND_TEMPLATE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"

#define TEMPLATE_SIZE_MAX (64u << 10)
#define TEMPLATE_DEPTH_MAX 50
#define TEMPLATE_VARIABLES_MAX 64
#define TEMPLATE_STEPS_MAX 2000000u
#define TEMPLATE_OUTPUT_MAX (64u << 20)
#define TEMPLATE_ARGS_MAX 16

/* Memory that is freed together. */
struct blocks {
	void **items;
	size_t n, cap;
	struct json **values; /* JSON values held for as long */
	size_t n_values, values_cap;
};
void *blocks_take(struct blocks *b, void *memory);      /* owns it, answers it */
void blocks_hold(struct blocks *b, struct json *value); /* owns the reference */
void blocks_release(struct blocks *b);

enum value_type { VALUE_MISSING, VALUE_NIL, VALUE_BOOL, VALUE_INT, VALUE_FLOAT, VALUE_STRING, VALUE_JSON };
struct value {
	enum value_type type;
	bool b;
	int64_t i;
	double d;
	const char *s;     /* string; for MISSING the member's name */
	struct json *json; /* array or object */
	struct json *of;   /* for MISSING: the object that lacks it */
};

struct pipeline;
struct operand {
	enum {
		OPERAND_DOT,
		OPERAND_ROOT,
		OPERAND_VARIABLE,
		OPERAND_LITERAL,
		OPERAND_PIPELINE,
		OPERAND_FUNCTION
	} type;
	const char *name; /* variable or function */
	struct value literal;
	struct pipeline *pipeline;
	const char **path; /* members behind it, NULL-terminated; NULL: none */
};
struct call {
	struct operand args[TEMPLATE_ARGS_MAX];
	size_t n_args;
	struct call *next; /* the value of this one becomes its last argument */
};
struct pipeline {
	const char *variables[2]; /* $i, $e := …; NULL: none. Without '$' */
	bool assign;              /* '=' instead of ':=' */
	struct call *calls;
};
struct node {
	enum { NODE_TEXT, NODE_PRINT, NODE_IF, NODE_RANGE, NODE_WITH, NODE_BREAK, NODE_CONTINUE } type;
	const char *text;
	size_t text_len;
	struct pipeline *pipeline;
	struct node *body, *otherwise, *next;
};
struct template
{
	struct blocks blocks;
	struct node *nodes;
};

/* template_func.c */
struct template_function {
	const char *name;
	size_t min_args, max_args;
	/* `scratch` owns what the result points to. */
	struct err *(*call)(struct blocks *scratch, const struct value *args, size_t n, struct value *ret);
};
const struct template_function *template_function_find(const char *name);
struct value value_of_json(struct json *v);
struct value value_string(const char *s);
struct value value_bool(bool b);
bool value_true(const struct value *v);
void value_print(const struct value *v, struct strbuf *out); /* as fmt's %v */

#endif
