// SPDX-License-Identifier: Apache-2.0
/* Walking a parsed template over a JSON value. */
#include "base/memory.h"
#include "base/str.h"
#include "command/template.h"
#include "template_tree.h"

struct variable {
	const char *name;
	struct value value;
};

enum flow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE };

struct runner {
	struct value root, dot;
	const struct template_method *method;
	struct strbuf *out;
	struct blocks scratch;
	struct variable variables[TEMPLATE_VARIABLES_MAX];
	size_t n_variables;
	unsigned steps;
};

static struct err *step(struct runner *r)
{
	if (++r->steps > TEMPLATE_STEPS_MAX || r->out->len > TEMPLATE_OUTPUT_MAX)
		return err_new(ERR_LIMIT, "format template: too much work or output");
	return NULL;
}

static struct err *missing_error(const struct value *v)
{
	_cleanup_strbuf_ struct strbuf names = {0};
	struct json_cursor object = json_root(v->of), member;
	struct json_iter it = json_iter(&object);

	while (json_next(&it, &member) && names.len < 400)
		strbuf_printf(&names, "%s.%s", names.len ? ", " : "", member.key);
	return err_new(ERR_INVALID, "format template: there is no field .%s; there are: %s", v->s,
		       strbuf_str(&names));
}

static bool is_field_name(const char *s)
{
	return s[0] >= 'A' && s[0] <= 'Z';
}

static struct err *member(struct value *v, const char *name)
{
	if (v->type == VALUE_MISSING)
		return missing_error(v);
	if (v->type == VALUE_NIL)
		return err_new(ERR_INVALID, "format template: cannot take .%s of nothing (a null value)",
			       name);
	if (v->type == VALUE_JSON) {
		struct json_cursor object = json_root(v->json), found;
		if (json_kind(&object) == JSON_OBJECT) {
			struct json_iter it = json_iter(&object);
			while (json_next(&it, &found))
				if (str_eq(found.key, name)) {
					*v = value_of_json(found.value);
					return NULL;
				}
			*v = (struct value){.type = VALUE_MISSING, .s = name, .of = v->json};
			return NULL;
		}
	}
	return err_new(ERR_INVALID, "format template: cannot take .%s of a value that is no object", name);
}

static struct err *evaluate_pipeline(struct runner *r, const struct pipeline *p, struct value *ret);

static struct err *evaluate_operand(struct runner *r, const struct operand *o, struct value *ret)
{
	struct value v = {0};

	switch (o->type) {
	case OPERAND_DOT:
		v = r->dot;
		break;
	case OPERAND_ROOT:
		v = r->root;
		break;
	case OPERAND_LITERAL:
		v = o->literal;
		break;
	case OPERAND_PIPELINE:
		TRY(evaluate_pipeline(r, o->pipeline, &v));
		break;
	case OPERAND_VARIABLE: {
		size_t i = r->n_variables;
		while (i > 0 && !str_eq(r->variables[i - 1].name, o->name))
			i--;
		if (i == 0)
			return err_new(ERR_INVALID, "format template: undefined variable $%s", o->name);
		v = r->variables[i - 1].value;
		break;
	}
	case OPERAND_FUNCTION: {
		const struct template_function *f = template_function_find(o->name);
		if (f->min_args > 0)
			return err_new(ERR_INVALID, "format template: %s needs at least %zu argument%s",
				       f->name, f->min_args, f->min_args == 1 ? "" : "s");
		TRY(f->call(&r->scratch, NULL, 0, &v));
		break;
	}
	}
	for (const char **m = o->path; m && *m; m++)
		TRY(member(&v, *m));
	*ret = v;
	return NULL;
}

/* and, or: the arguments behind the deciding one are not evaluated, as in Go. */
static struct err *short_circuit(struct runner *r, const struct call *c, bool is_or,
				 const struct value *piped, struct value *ret)
{
	for (size_t i = 1; i < c->n_args; i++) {
		TRY(evaluate_operand(r, &c->args[i], ret));
		if (value_true(ret) == is_or)
			return NULL;
	}
	if (piped)
		*ret = *piped;
	return NULL;
}

static struct err *call_method(struct runner *r, const struct call *c, const struct value *args, size_t n,
			       struct value *ret)
{
	const struct operand *o = &c->args[0];
	bool on_row = (o->type == OPERAND_DOT || o->type == OPERAND_ROOT) && o->path && !o->path[1];

	if (on_row && r->method && str_eq(o->path[0], r->method->name) && n == 1 &&
	    args[0].type == VALUE_STRING) {
		*ret = value_string(blocks_take(&r->scratch, r->method->call(r->method->user, args[0].s)));
		return NULL;
	}
	return err_new(ERR_INVALID, "format template: %s%s is not a function and takes no arguments",
		       o->path ? "." : "a value", o->path ? o->path[0] : "");
}

static struct err *evaluate_call(struct runner *r, const struct call *c, const struct value *piped,
				 struct value *ret)
{
	const struct operand *o = &c->args[0];
	const struct template_function *f =
		o->type == OPERAND_FUNCTION ? template_function_find(o->name) : NULL;
	struct value args[TEMPLATE_ARGS_MAX];
	size_t n = 0;

	TRY(step(r));
	if (!f && c->n_args == 1 && !piped)
		return evaluate_operand(r, o, ret);
	if (f && (str_eq(f->name, "and") || str_eq(f->name, "or")) && c->n_args > 1)
		return short_circuit(r, c, f->name[0] == 'o', piped, ret);
	for (size_t i = 1; i < c->n_args; i++)
		TRY(evaluate_operand(r, &c->args[i], &args[n++]));
	if (piped)
		args[n++] = *piped;
	if (!f)
		return call_method(r, c, args, n, ret);
	if (n < f->min_args || n > f->max_args)
		return err_new(ERR_INVALID, "format template: %s got %zu arguments, it takes %s%zu", f->name,
			       n, f->min_args == f->max_args ? "" : "at least ", f->min_args);
	for (size_t i = 0; i < n; i++)
		if (args[i].type == VALUE_MISSING && is_field_name(args[i].s) && f->name[0] != 'n' &&
		    !str_eq(f->name, "eq"))
			return missing_error(&args[i]);
	return f->call(&r->scratch, args, n, ret);
}

static struct err *set_variable(struct runner *r, const char *name, const struct value *v, bool assign)
{
	if (assign) {
		for (size_t i = r->n_variables; i > 0; i--)
			if (str_eq(r->variables[i - 1].name, name)) {
				r->variables[i - 1].value = *v;
				return NULL;
			}
		return err_new(ERR_INVALID, "format template: undefined variable $%s", name);
	}
	if (r->n_variables == TEMPLATE_VARIABLES_MAX)
		return err_new(ERR_LIMIT, "format template: more than %d variables", TEMPLATE_VARIABLES_MAX);
	r->variables[r->n_variables++] = (struct variable){name, *v};
	return NULL;
}

static struct err *evaluate_pipeline(struct runner *r, const struct pipeline *p, struct value *ret)
{
	struct value v = {0};
	const struct value *piped = NULL;

	for (const struct call *c = p->calls; c; c = c->next) {
		struct value next = {0};
		TRY(evaluate_call(r, c, piped, &next));
		v = next;
		piped = &v;
	}
	*ret = v;
	return NULL;
}

static struct err *run_nodes(struct runner *r, const struct node *n, enum flow *ret_flow);

/* One turn of a range, with its own variables. */
static struct err *run_element(struct runner *r, const struct node *n, const struct value *key,
			       const struct value *element, enum flow *ret_flow)
{
	const struct pipeline *p = n->pipeline;
	size_t saved = r->n_variables;

	TRY(step(r));
	r->dot = *element;
	if (p->variables[1]) {
		TRY(set_variable(r, p->variables[0], key, false));
		TRY(set_variable(r, p->variables[1], element, false));
	} else if (p->variables[0]) {
		TRY(set_variable(r, p->variables[0], element, p->assign));
	}
	TRY(run_nodes(r, n->body, ret_flow));
	r->n_variables = saved;
	return NULL;
}

static int compare_members(const void *a, const void *b)
{
	return strcmp(((const struct json_cursor *)a)->key, ((const struct json_cursor *)b)->key);
}

/* Maps are walked in the order of their keys, as in Go. */
static struct err *run_object(struct runner *r, const struct node *n, const struct json_cursor *object,
			      size_t *ret_turns)
{
	struct json_cursor *members = NULL, m;
	size_t count = 0, cap = 0;
	struct json_iter it = json_iter(object);

	while (json_next(&it, &m)) {
		GROW(members, count, cap);
		members[count++] = m;
	}
	if (count)
		qsort(members, count, sizeof(*members), compare_members);
	enum flow flow = FLOW_NEXT;
	struct err *e = NULL;
	for (size_t i = 0; i < count && !e && flow != FLOW_BREAK; i++) {
		struct value key = value_string(members[i].key), element = value_of_json(members[i].value);
		e = run_element(r, n, &key, &element, &flow);
	}
	free(members);
	*ret_turns = count;
	return e;
}

static struct err *run_range(struct runner *r, const struct node *n, const struct value *over,
			     size_t *ret_turns)
{
	enum flow flow = FLOW_NEXT;

	*ret_turns = 0;
	if (over->type == VALUE_INT) { /* {{range 3}}, since Go 1.22 */
		for (int64_t i = 0; i < over->i && flow != FLOW_BREAK; i++) {
			struct value key = {.type = VALUE_INT, .i = i};
			TRY(run_element(r, n, &key, &key, &flow));
			*ret_turns = 1;
		}
		return NULL;
	}
	if (over->type == VALUE_NIL || (over->type == VALUE_MISSING && !is_field_name(over->s)))
		return NULL;
	if (over->type == VALUE_MISSING)
		return missing_error(over);
	if (over->type != VALUE_JSON)
		return err_new(ERR_INVALID, "format template: range needs a list or an object");
	struct json_cursor c = json_root(over->json);
	if (json_kind(&c) == JSON_OBJECT)
		return run_object(r, n, &c, ret_turns);
	size_t count = json_array_len(&c);
	for (size_t i = 0; i < count && flow != FLOW_BREAK; i++) {
		struct json_cursor e = json_at(&c, i);
		struct value key = {.type = VALUE_INT, .i = (int64_t)i}, element = value_of_json(e.value);
		TRY(run_element(r, n, &key, &element, &flow));
	}
	*ret_turns = count;
	return NULL;
}

static struct err *run_control(struct runner *r, const struct node *n, enum flow *ret_flow)
{
	struct value dot = r->dot, v;
	size_t saved = r->n_variables, turns = 0;

	TRY(evaluate_pipeline(r, n->pipeline, &v));
	if (n->type == NODE_RANGE) {
		TRY(run_range(r, n, &v, &turns));
		r->dot = dot;
		if (!turns)
			TRY(run_nodes(r, n->otherwise, ret_flow));
		r->n_variables = saved;
		return NULL;
	}
	if (n->pipeline->variables[0])
		TRY(set_variable(r, n->pipeline->variables[0], &v, n->pipeline->assign));
	bool yes = value_true(&v);
	if (n->type == NODE_WITH && yes)
		r->dot = v;
	TRY(run_nodes(r, yes ? n->body : n->otherwise, ret_flow));
	r->dot = dot;
	r->n_variables = saved;
	return NULL;
}

static struct err *run_print(struct runner *r, const struct pipeline *p)
{
	struct value v;

	TRY(evaluate_pipeline(r, p, &v));
	if (p->variables[0])
		return set_variable(r, p->variables[0], &v, p->assign);
	if (v.type == VALUE_MISSING && is_field_name(v.s))
		return missing_error(&v);
	value_print(&v, r->out);
	return NULL;
}

static struct err *run_nodes(struct runner *r, const struct node *n, enum flow *ret_flow)
{
	*ret_flow = FLOW_NEXT;
	for (; n; n = n->next) {
		TRY(step(r));
		switch (n->type) {
		case NODE_TEXT:
			strbuf_append(r->out, n->text, n->text_len);
			break;
		case NODE_PRINT:
			TRY(run_print(r, n->pipeline));
			break;
		case NODE_IF:
		case NODE_WITH:
		case NODE_RANGE:
			TRY(run_control(r, n, ret_flow));
			if (*ret_flow != FLOW_NEXT)
				return NULL;
			break;
		case NODE_BREAK:
			*ret_flow = FLOW_BREAK;
			return NULL;
		case NODE_CONTINUE:
			*ret_flow = FLOW_CONTINUE;
			return NULL;
		}
	}
	return NULL;
}

struct err *template_run(const struct template *t, struct json *data, const struct template_method *method,
			 struct strbuf *out)
{
	struct runner r = {
		.root = value_of_json(data), .dot = value_of_json(data), .method = method, .out = out};
	enum flow flow;

	struct err *e = run_nodes(&r, t->nodes, &flow);
	blocks_release(&r.scratch);
	return e;
}
