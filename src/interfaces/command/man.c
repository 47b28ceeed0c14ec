// SPDX-License-Identifier: Apache-2.0
/* Man pages, from the tables: PROGRAM.1 and one PROGRAM-COMMAND.1 for each command. The output depends on the
 * tables only, so that a build is reproducible. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "command/command.h"

/* Text with roff's special characters made harmless; a control character at the beginning of a line too. */
static void roff_text_n(struct strbuf *b, const char *s, size_t n)
{
	bool line_start = b->len == 0 || b->data[b->len - 1] == '\n';

	for (size_t i = 0; i < n; i++) {
		if (line_start && (s[i] == '.' || s[i] == '\''))
			strbuf_puts(b, "\\&");
		if (s[i] == '\\')
			strbuf_puts(b, "\\e");
		else if (s[i] == '-')
			strbuf_puts(b, "\\-");
		else if (s[i] == '\'')
			strbuf_puts(b, "\\(aq");
		else
			strbuf_putc(b, s[i]);
		line_start = s[i] == '\n';
	}
}

static void roff_text(struct strbuf *b, const char *s)
{
	roff_text_n(b, s, strlen(s));
}

/* "havre container ls" -> "havre-container-ls" */
static char *page_name(const struct program *p, const char *path)
{
	char *name = xasprintf("%s%s%s", p->name, path ? "-" : "", path ? path : "");
	for (char *c = name; *c; c++)
		if (*c == ' ')
			*c = '-';
	return name;
}

static void page_header(struct strbuf *b, const struct program *p, const char *name, const char *summary)
{
	_cleanup_free_ char *upper = xstrdup(name);
	for (char *c = upper; *c; c++)
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
	strbuf_printf(b, ".TH \"%s\" \"1\" \"\" \"%s " HAVRE_VERSION "\" \"User Commands\"\n.SH NAME\n",
		      upper, p->name);
	roff_text(b, name);
	strbuf_puts(b, " \\- ");
	roff_text(b, summary);
	strbuf_putc(b, '\n');
}

/* Lines that begin with a blank become an example block, empty lines paragraph breaks. */
static void page_paragraphs(struct strbuf *b, const char *text)
{
	bool block = false;

	while (*text) {
		size_t len = strcspn(text, "\n");
		bool kept = *text == ' ';
		if (kept != block && len) {
			strbuf_puts(b, kept ? ".nf\n" : ".fi\n");
			block = kept;
		}
		if (len == 0)
			strbuf_puts(b, block ? "\n" : ".PP\n");
		else {
			roff_text_n(b, text, len);
			strbuf_putc(b, '\n');
		}
		text += len + (text[len] == '\n');
	}
	if (block)
		strbuf_puts(b, ".fi\n");
}

static void page_flag(struct strbuf *b, const struct flag *f)
{
	const char *metavar = flag_metavar(f);

	if ((f->traits & FLAG_HIDDEN) || f->refusal)
		return;
	strbuf_puts(b, ".TP\n");
	if (f->letter)
		strbuf_printf(b, "\\fB\\-%c\\fR, ", f->letter);
	strbuf_puts(b, strlen(f->name) == 1 ? "\\fB\\-" : "\\fB\\-\\-");
	roff_text(b, f->name);
	strbuf_puts(b, "\\fR");
	if (metavar) {
		strbuf_puts(b, "=\\fI");
		roff_text(b, metavar);
		strbuf_puts(b, "\\fR");
	}
	strbuf_putc(b, '\n');
	roff_text(b, f->help ? f->help : "");
	if (f->kind == FLAG_CHOICE) {
		strbuf_puts(b, " (");
		roff_text(b, f->values);
		strbuf_putc(b, ')');
	}
	strbuf_puts(b, ".\n");
}

static void command_page(struct strbuf *b, const struct program *p, const struct command *c, const char *name)
{
	page_header(b, p, name, c->summary);
	strbuf_printf(b, ".SH SYNOPSIS\n\\fB%s ", p->name);
	roff_text(b, c->name);
	strbuf_puts(b, "\\fR ");
	roff_text(b, c->usage ? c->usage : "");
	strbuf_putc(b, '\n');
	for (const char *const *a = c->aliases; a && *a; a++) {
		strbuf_printf(b, ".br\n\\fB%s ", p->name);
		roff_text(b, *a);
		strbuf_puts(b, "\\fR ");
		roff_text(b, c->usage ? c->usage : "");
		strbuf_putc(b, '\n');
	}
	strbuf_puts(b, ".SH DESCRIPTION\n");
	roff_text(b, c->summary);
	strbuf_puts(b, ".\n");
	if (c->help) {
		strbuf_puts(b, ".PP\n");
		page_paragraphs(b, c->help);
	}
	if (command_flag_first(c))
		strbuf_puts(b, ".SH OPTIONS\n");
	for (const struct flag *f = command_flag_first(c); f; f = command_flag_next(c, f))
		page_flag(b, f);
	if (c->examples) {
		strbuf_puts(b, ".SH EXAMPLES\n.nf\n");
		_cleanup_free_ char *text = command_examples(p, c);
		roff_text(b, text);
		strbuf_puts(b, "\n.fi\n");
	}
	strbuf_printf(b, ".SH SEE ALSO\n\\fB%s\\fR(1)\n", p->name);
}

static void program_page(struct strbuf *b, const struct program *p)
{
	page_header(b, p, p->name, p->summary);
	strbuf_printf(b, ".SH SYNOPSIS\n\\fB%s\\fR [\\fIOPTIONS\\fR] \\fICOMMAND\\fR\n.SH DESCRIPTION\n",
		      p->name);
	page_paragraphs(b, p->help ? p->help : p->summary);
	strbuf_puts(b, ".SH COMMANDS\n");
	for (const struct command *const *c = p->commands; *c; c++) {
		if ((*c)->traits & COMMAND_HIDDEN)
			continue;
		_cleanup_free_ char *name = page_name(p, (*c)->name);
		strbuf_puts(b, ".TP\n\\fB");
		roff_text(b, name);
		strbuf_puts(b, "\\fR(1)\n");
		roff_text(b, (*c)->summary);
		strbuf_puts(b, ".\n");
	}
	strbuf_puts(b, ".SH OPTIONS\n");
	for (const struct flag *f = p->flags; f && f->name; f++)
		page_flag(b, f);
}

static struct err *write_page(int dirfd, const char *name, const struct strbuf *b)
{
	_cleanup_free_ char *file = xasprintf("%s.1", name);
	return file_replace_at(dirfd, file, b->data, b->len, 0644, FILE_VOLATILE);
}

static struct err *run_man(struct invocation *in, int *ret_status)
{
	const struct program *p = in->program;
	const char *dir = in->args[0];

	TRY(file_mkdir_p(dir, 0755));
	_cleanup_fd_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(errno, "cannot open the directory %s", dir);

	_cleanup_strbuf_ struct strbuf page = {0};
	program_page(&page, p);
	TRY(write_page(fd, p->name, &page));
	for (const struct command *const *c = p->commands; *c; c++) {
		if ((*c)->traits & COMMAND_HIDDEN)
			continue;
		_cleanup_free_ char *name = page_name(p, (*c)->name);
		strbuf_reset(&page);
		command_page(&page, p, *c, name);
		TRY(write_page(fd, name, &page));
	}
	return NULL;
}

const struct command command_man = {
	.name = "man",
	.summary = "Write the man pages into a directory",
	.usage = "DIRECTORY",
	.min_args = 1,
	.max_args = 1,
	.args_values = "@dir",
	.traits = COMMAND_LOCAL | COMMAND_HIDDEN,
	.run = run_man,
};
