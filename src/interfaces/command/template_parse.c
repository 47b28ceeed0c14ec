// SPDX-License-Identifier: Apache-2.0
/* Recursive descent over the template's text. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/str.h"
#include "command/template.h"
#include "template_tree.h"

struct parser {
	const char *text, *at;
	struct blocks *blocks;
	unsigned depth, loops;
	bool trim_next; /* the last action ended with -}} */
};

/* What ended a list of nodes. */
enum ending { END_OF_TEXT, END_END, END_ELSE, END_ELSE_IF, END_ELSE_WITH };

void *blocks_take(struct blocks *b, void *memory)
{
	GROW(b->items, b->n, b->cap);
	b->items[b->n++] = memory;
	return memory;
}

void blocks_hold(struct blocks *b, struct json *value)
{
	GROW(b->values, b->n_values, b->values_cap);
	b->values[b->n_values++] = value;
}

void blocks_release(struct blocks *b)
{
	for (size_t i = 0; i < b->n_values; i++)
		json_unref(b->values[i]);
	free(b->values);
	for (size_t i = 0; i < b->n; i++)
		free(b->items[i]);
	free(b->items);
	*b = (struct blocks){0};
}

#define NEW(p, type) ((type *)blocks_take((p)->blocks, xnew(type)))

_printf_(2, 3) static struct err *syntax_error(const struct parser *p, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	_cleanup_free_ char *text = xvasprintf(fmt, ap);
	va_end(ap);
	return err_new(ERR_INVALID, "format template, character %zu: %s", (size_t)(p->at - p->text) + 1,
		       text);
}

static void skip_blanks(struct parser *p)
{
	while (*p->at && isspace((unsigned char)*p->at))
		p->at++;
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || (c & 0x80);
}

/* Is the action's end here? "-}}" needs the blank before it, as in Go. */
static bool at_close(const struct parser *p)
{
	if (str_starts(p->at, "}}"))
		return true;
	return str_starts(p->at, "-}}") && p->at > p->text && isspace((unsigned char)p->at[-1]);
}

static struct err *expect_close(struct parser *p)
{
	skip_blanks(p);
	if (!at_close(p))
		return *p->at ? syntax_error(p, "unexpected \"%.10s\"", p->at)
			      : syntax_error(p, "\"}}\" is missing");
	p->trim_next = *p->at == '-';
	p->at += p->trim_next ? 3 : 2;
	return NULL;
}

static char *take_word(struct parser *p)
{
	const char *begin = p->at;
	while (is_word(*p->at))
		p->at++;
	return blocks_take(p->blocks, xstrndup(begin, (size_t)(p->at - begin)));
}

/* Looks ahead for a keyword; takes it when it is there. */
static bool take_keyword(struct parser *p, const char *word)
{
	size_t len = strlen(word);
	if (strncmp(p->at, word, len) != 0 || is_word(p->at[len]))
		return false;
	p->at += len;
	return true;
}

static struct err *parse_pipeline(struct parser *p, bool in_parentheses, struct pipeline **ret);

static struct err *escape(struct parser *p, struct strbuf *b)
{
	unsigned code = 0;
	int digits = 0;

	switch (*++p->at) {
	case 'n':
		strbuf_putc(b, '\n');
		break;
	case 't':
		strbuf_putc(b, '\t');
		break;
	case 'r':
		strbuf_putc(b, '\r');
		break;
	case 'x':
		while (digits < 2 && isxdigit((unsigned char)p->at[1])) {
			char c = *++p->at;
			code = code * 16 +
			       (unsigned)(isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10);
			digits++;
		}
		if (digits != 2 || code == 0)
			return syntax_error(p, "wrong \\x escape");
		strbuf_putc(b, (char)code);
		break;
	case '"':
	case '\'':
	case '\\':
		strbuf_putc(b, *p->at);
		break;
	default:
		return syntax_error(p, "unknown escape in a string");
	}
	p->at++;
	return NULL;
}

/* "…", `…`, '…' */
static struct err *parse_quoted(struct parser *p, struct value *ret)
{
	char quote = *p->at++;
	_cleanup_strbuf_ struct strbuf b = {0};

	while (*p->at != quote) {
		if (*p->at == '\0' || (*p->at == '\n' && quote != '`'))
			return syntax_error(p, "a string is not closed");
		if (*p->at == '\\' && quote != '`')
			TRY(escape(p, &b));
		else
			strbuf_putc(&b, *p->at++);
	}
	p->at++;
	if (quote == '\'') {
		if (b.len != 1)
			return syntax_error(p, "a character constant must be one character");
		*ret = (struct value){.type = VALUE_INT, .i = (unsigned char)b.data[0]};
		return NULL;
	}
	*ret = value_string(blocks_take(p->blocks, strbuf_take(&b)));
	return NULL;
}

static struct err *parse_number(struct parser *p, struct value *ret)
{
	const char *begin = p->at;
	char *end;

	errno = 0;
	long long i = strtoll(begin, &end, 0);
	if (*end == '.' || *end == 'e' || *end == 'E') {
		*ret = (struct value){.type = VALUE_FLOAT, .d = strtod(begin, &end)};
	} else if (errno) {
		return syntax_error(p, "the number is out of range");
	} else {
		*ret = (struct value){.type = VALUE_INT, .i = i};
	}
	p->at = end;
	if (end == begin || is_word(*end))
		return syntax_error(p, "wrong number");
	return NULL;
}

/* ".A.B" behind an operand (or as one). */
static struct err *parse_path(struct parser *p, const char ***ret)
{
	const char **path = NULL;
	size_t n = 0, cap = 0;

	while (*p->at == '.' && is_word(p->at[1])) {
		p->at++;
		GROW(path, n, cap);
		path[n++] = take_word(p);
	}
	if (path) {
		GROW(path, n, cap);
		path[n] = NULL;
		blocks_take(p->blocks, path);
	}
	*ret = path;
	return NULL;
}

static struct err *parse_word_operand(struct parser *p, struct operand *o)
{
	const char *begin = p->at;
	char *word = take_word(p);

	o->type = OPERAND_LITERAL;
	if (str_eq(word, "true") || str_eq(word, "false")) {
		o->literal = value_bool(word[0] == 't');
	} else if (str_eq(word, "nil")) {
		o->literal = (struct value){.type = VALUE_NIL};
	} else if (template_function_find(word)) {
		o->type = OPERAND_FUNCTION;
		o->name = word;
	} else {
		p->at = begin;
		if (str_eq(word, "define") || str_eq(word, "template") || str_eq(word, "block") ||
		    str_eq(word, "call"))
			return syntax_error(p, "\"%s\" is not supported in format templates", word);
		return syntax_error(p, "function \"%s\" is not defined", word);
	}
	return NULL;
}

static struct err *parse_operand(struct parser *p, struct operand *o)
{
	char c = *p->at;

	if (c == '"' || c == '`' || c == '\'') {
		o->type = OPERAND_LITERAL;
		return parse_quoted(p, &o->literal);
	}
	if (isdigit((unsigned char)c) || ((c == '-' || c == '+') && isdigit((unsigned char)p->at[1]))) {
		o->type = OPERAND_LITERAL;
		return parse_number(p, &o->literal);
	}
	if (c == '$') {
		p->at++;
		o->type = is_word(*p->at) ? OPERAND_VARIABLE : OPERAND_ROOT;
		if (o->type == OPERAND_VARIABLE)
			o->name = take_word(p);
		return parse_path(p, &o->path);
	}
	if (c == '.') {
		o->type = OPERAND_DOT;
		if (is_word(p->at[1]))
			return parse_path(p, &o->path);
		p->at++;
		return NULL;
	}
	if (c == '(') {
		p->at++;
		o->type = OPERAND_PIPELINE;
		TRY(parse_pipeline(p, true, &o->pipeline));
		return parse_path(p, &o->path);
	}
	if (is_word(c))
		return parse_word_operand(p, o);
	if (!c || at_close(p))
		return syntax_error(p, "a value is missing");
	return syntax_error(p, "unexpected \"%c\"", c);
}

static struct err *parse_call(struct parser *p, bool in_parentheses, struct call **ret)
{
	struct call *c = NEW(p, struct call);

	for (;;) {
		skip_blanks(p);
		if (c->n_args &&
		    (!*p->at || at_close(p) || *p->at == '|' || (in_parentheses && *p->at == ')')))
			break;
		if (c->n_args == TEMPLATE_ARGS_MAX)
			return syntax_error(p, "more than %d arguments", TEMPLATE_ARGS_MAX);
		TRY(parse_operand(p, &c->args[c->n_args++]));
		if (*p->at && !isspace((unsigned char)*p->at) && !at_close(p) && *p->at != '|' &&
		    *p->at != ')')
			return syntax_error(p, "unexpected \"%c\"", *p->at);
	}
	*ret = c;
	return NULL;
}

/* "$x :=", "$i, $e :=", "$x =" */
static struct err *parse_declaration(struct parser *p, struct pipeline *pipe)
{
	const char *begin = p->at;

	for (size_t n = 0; n < 2; n++) {
		if (*p->at != '$' || !is_word(p->at[1]))
			break;
		p->at++;
		pipe->variables[n] = take_word(p);
		skip_blanks(p);
		if (n == 0 && *p->at == ',') {
			p->at++;
			skip_blanks(p);
			continue;
		}
		if (str_starts(p->at, ":=")) {
			p->at += 2;
			return NULL;
		}
		if (*p->at == '=' && n == 0) {
			p->at++;
			pipe->assign = true;
			return NULL;
		}
		break;
	}
	pipe->variables[0] = pipe->variables[1] = NULL;
	p->at = begin;
	return NULL;
}

static struct err *parse_pipeline(struct parser *p, bool in_parentheses, struct pipeline **ret)
{
	if (++p->depth > TEMPLATE_DEPTH_MAX)
		return syntax_error(p, "nested more than %d deep", TEMPLATE_DEPTH_MAX);
	struct pipeline *pipe = NEW(p, struct pipeline);
	struct call **tail = &pipe->calls;

	skip_blanks(p);
	if (!in_parentheses)
		TRY(parse_declaration(p, pipe));
	for (;;) {
		TRY(parse_call(p, in_parentheses, tail));
		tail = &(*tail)->next;
		if (*p->at != '|')
			break;
		p->at++;
	}
	if (in_parentheses) {
		if (*p->at != ')')
			return syntax_error(p, "\")\" is missing");
		p->at++;
	}
	p->depth--;
	*ret = pipe;
	return NULL;
}

static struct err *parse_nodes(struct parser *p, struct node **ret, enum ending *ret_ending);

/* The body of if, range and with, and what follows: else, else if, end. */
static struct err *parse_control(struct parser *p, struct node *n)
{
	enum ending ending;

	TRY(parse_pipeline(p, false, &n->pipeline));
	if (n->type != NODE_RANGE && n->pipeline->variables[1])
		return syntax_error(p, "two variables belong to range only");
	TRY(expect_close(p));
	p->loops += n->type == NODE_RANGE;
	TRY(parse_nodes(p, &n->body, &ending));
	p->loops -= n->type == NODE_RANGE;
	if (ending == END_ELSE)
		TRY(parse_nodes(p, &n->otherwise, &ending));
	else if (ending == END_ELSE_IF || ending == END_ELSE_WITH) {
		/* {{else if}} is an if inside the else, which takes the {{end}} for both. */
		if (++p->depth > TEMPLATE_DEPTH_MAX)
			return syntax_error(p, "nested more than %d deep", TEMPLATE_DEPTH_MAX);
		n->otherwise = NEW(p, struct node);
		n->otherwise->type = ending == END_ELSE_IF ? NODE_IF : NODE_WITH;
		TRY(parse_control(p, n->otherwise));
		p->depth--;
		return NULL;
	}
	if (ending != END_END)
		return syntax_error(p, ending == END_OF_TEXT ? "{{end}} is missing" : "a second {{else}}");
	return NULL;
}

static struct err *parse_else(struct parser *p, enum ending *ret)
{
	skip_blanks(p);
	*ret = END_ELSE;
	if (take_keyword(p, "if"))
		*ret = END_ELSE_IF;
	else if (take_keyword(p, "with"))
		*ret = END_ELSE_WITH;
	else
		return expect_close(p);
	return NULL;
}

/* Behind "{{": one action. *ret_node stays NULL for comments; *ret_ending is set for end and else. */
static struct err *parse_action(struct parser *p, struct node **ret_node, enum ending *ret_ending)
{
	static const struct {
		const char *word;
		int type;
	} controls[] = {{"if", NODE_IF}, {"range", NODE_RANGE}, {"with", NODE_WITH}};
	static const struct {
		const char *word;
		int type;
	} jumps[] = {{"break", NODE_BREAK}, {"continue", NODE_CONTINUE}};

	if (str_starts(p->at, "/*")) {
		const char *end = strstr(p->at + 2, "*/");
		if (!end)
			return syntax_error(p, "a comment is not closed");
		p->at = end + 2;
		return expect_close(p);
	}
	if (take_keyword(p, "end")) {
		*ret_ending = END_END;
		return expect_close(p);
	}
	if (take_keyword(p, "else"))
		return parse_else(p, ret_ending);

	struct node *n = NEW(p, struct node);
	*ret_node = n;
	for (size_t i = 0; i < ARRAY_SIZE(controls); i++)
		if (take_keyword(p, controls[i].word)) {
			n->type = controls[i].type;
			return parse_control(p, n);
		}
	for (size_t i = 0; i < ARRAY_SIZE(jumps); i++)
		if (take_keyword(p, jumps[i].word)) {
			if (!p->loops)
				return syntax_error(p, "{{%s}} outside of a range", jumps[i].word);
			n->type = jumps[i].type;
			return expect_close(p);
		}
	n->type = NODE_PRINT;
	TRY(parse_pipeline(p, false, &n->pipeline));
	if (n->pipeline->variables[1])
		return syntax_error(p, "two variables belong to range only");
	return expect_close(p);
}

/* Text up to the next action, with the trimming that the neighbours ask for. */
static void take_text(struct parser *p, struct node ***tail)
{
	const char *begin = p->at, *end = strstr(begin, "{{");

	if (!end)
		end = begin + strlen(begin);
	p->at = end;
	if (p->trim_next)
		while (begin < end && isspace((unsigned char)*begin))
			begin++;
	p->trim_next = false;
	if (str_starts(end, "{{-") && isspace((unsigned char)end[3]))
		while (end > begin && isspace((unsigned char)end[-1]))
			end--;
	if (end == begin)
		return;
	struct node *n = NEW(p, struct node);
	n->type = NODE_TEXT;
	n->text_len = (size_t)(end - begin);
	n->text = blocks_take(p->blocks, xstrndup(begin, n->text_len));
	**tail = n;
	*tail = &n->next;
}

static struct err *parse_nodes(struct parser *p, struct node **ret, enum ending *ret_ending)
{
	struct node **tail = ret;

	if (++p->depth > TEMPLATE_DEPTH_MAX)
		return syntax_error(p, "nested more than %d deep", TEMPLATE_DEPTH_MAX);
	*ret_ending = END_OF_TEXT;
	for (;;) {
		take_text(p, &tail);
		if (*p->at == '\0')
			break;
		p->at += 2;
		if (*p->at == '-' && isspace((unsigned char)p->at[1]))
			p->at++;
		skip_blanks(p);
		struct node *n = NULL;
		TRY(parse_action(p, &n, ret_ending));
		if (*ret_ending != END_OF_TEXT)
			break;
		if (n) {
			*tail = n;
			tail = &n->next;
		}
	}
	p->depth--;
	return NULL;
}

struct err *template_parse(const char *text, struct template **ret)
{
	if (strlen(text) > TEMPLATE_SIZE_MAX)
		return err_new(ERR_LIMIT, "format template is larger than %u bytes", TEMPLATE_SIZE_MAX);
	_cleanup_template_ struct template *t = xnew(struct template);
	struct parser p = {.text = text, .at = text, .blocks = &t->blocks};
	enum ending ending;

	TRY(parse_nodes(&p, &t->nodes, &ending));
	if (ending == END_END)
		return syntax_error(&p, "{{end}} without if, range or with");
	if (ending != END_OF_TEXT)
		return syntax_error(&p, "{{else}} without if, range or with");
	*ret = TAKE_PTR(t);
	return NULL;
}

void template_free(struct template *t)
{
	if (!t)
		return;
	blocks_release(&t->blocks);
	free(t);
}
