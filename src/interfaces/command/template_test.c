// SPDX-License-Identifier: Apache-2.0
#include "command/template.h"

#include "base/memory.h"
#include "command/table.h"
#include "unit.h"

static const char document[] =
	"{\"ID\":\"abc\",\"Names\":[\"/one\",\"/two\"],\"N\":3,\"F\":1.5,\"Yes\":true,\"Nothing\":null,"
	"\"Config\":{\"Labels\":{\"b\":\"2\",\"a.x\":\"1\"},\"Env\":[\"A=1\",\"B=2\"],\"Cmd\":null},"
	"\"Mounts\":[{\"Source\":\"/s\",\"RW\":false},{\"Source\":\"/t\",\"RW\":true}],\"Empty\":[]}";

static char *label(void *user, const char *argument)
{
	return xasprintf("label-%s", argument);
}

static struct err *run(const char *text, char **ret)
{
	_cleanup_json_ struct json *data = NULL;
	_cleanup_template_ struct template *t = NULL;
	_cleanup_strbuf_ struct strbuf out = {0};
	static const struct template_method method = {"Label", label, NULL};

	TRY(json_parse(document, strlen(document), "document", &data));
	TRY(template_parse(text, &t));
	TRY(template_run(t, data, &method, &out));
	*ret = strbuf_take(&out);
	return NULL;
}

static void check(const char *text, const char *want)
{
	_cleanup_free_ char *got = NULL;
	CHECK_OK(run(text, &got));
	CHECK_STR(got, want);
}

static void check_fails(const char *text, const char *part)
{
	_cleanup_free_ char *got = NULL;
	_cleanup_err_ struct err *e = run(text, &got);
	CHECK(e && (e->kind == ERR_INVALID || e->kind == ERR_LIMIT));
	_cleanup_free_ char *message = err_text(e);
	if (!strstr(message, part))
		printf("# \"%s\" lacks \"%s\"\n", message, part);
	CHECK(strstr(message, part));
}

TEST(fields_and_values)
{
	check("{{.ID}}", "abc");
	check("a {{.N}} b {{ .F }} {{.Yes}}", "a 3 b 1.5 true");
	check("{{.Names}}", "[/one /two]");
	check("{{.Config.Labels}}", "map[a.x:1 b:2]");
	check("{{.Config.Labels.b}}{{.Config.Labels.none}}", "2<no value>");
	check("{{.Nothing}}", "<no value>");
	check("{{$.Config.Labels.b}}", "2");
	check("{{(index .Mounts 1).Source}}", "/t");
	check("{{.Label \"k\"}}", "label-k");
	check("{{/* nothing */}}x{{- /* y */ -}} z", "xz");
	check("{{\"a\\tb\"}}{{`c\\d`}}{{'a'}}", "a\tbc\\d97");
}

TEST(functions)
{
	check("{{json .Config.Env}}", "[\"A=1\",\"B=2\"]");
	check("{{json .ID}} {{.Nothing | json}} {{json .Config.Labels.none}}", "\"abc\" null null");
	check("{{join .Config.Env \", \"}}", "A=1, B=2");
	check("{{.ID | upper | printf \"<%s>\"}}", "<ABC>");
	check("{{title \"hello world\"}} {{lower \"ABC\"}}", "Hello World abc");
	check("{{len .Names}} {{len .ID}} {{len .Config.Labels}}", "2 3 2");
	check("{{index .Config.Labels \"a.x\"}}[{{index .Config.Labels \"zz\"}}]", "1[]");
	check("{{index .Names 0}}", "/one");
	check("{{slice .ID 1}} {{slice .ID 0 2}} {{slice .Names 1}}", "bc ab [/two]");
	check("{{println .ID .N}}", "abc 3\n");
	check("{{print 1 2 \"a\" \"b\" 3}}", "1 2ab3");
	check("{{printf \"%5d|%-5s|%05d|%q|%x|%.2f|%v%%|%d\" 42 \"ab\" 7 \"q\\\"\" 255 1.5 true}}",
	      "   42|ab   |00007|\"q\\\"\"|ff|1.50|true%|%!d(MISSING)");
	check("{{pad \"x\" 2 1}}|{{truncate \"hello\" 2}}", "  x |he");
	check("{{range split \"a,b\" \",\"}}<{{.}}>{{end}}", "<a><b>");
	check("{{eq .N 3}} {{ne .ID \"abc\"}} {{lt 1 2}} {{ge 1.5 2}} {{eq .ID \"x\" \"abc\"}}",
	      "true false true false true");
	check("{{and .Yes .ID}} {{or .Nothing \"d\"}} {{not .Yes}}", "abc d false");
	check("{{html \"<a>\"}} {{urlquery \"a b/\"}}", "&lt;a&gt; a+b%2F");
}

TEST(control)
{
	check("{{if .Yes}}y{{else}}n{{end}}", "y");
	check("{{if .Nothing}}y{{else if eq .N 3}}three{{else}}n{{end}}", "three");
	check("{{if .State}}y{{else}}no state{{end}}", "no state");
	check("{{range .Mounts}}{{.Source}}={{.RW}} {{end}}", "/s=false /t=true ");
	check("{{range $i, $m := .Mounts}}{{$i}}:{{$m.Source}} {{end}}", "0:/s 1:/t ");
	check("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}", "a.x=1;b=2;");
	check("{{range .Empty}}x{{else}}none{{end}}", "none");
	check("{{range .Names}}{{.}}{{break}}{{end}}", "/one");
	check("{{range .Names}}{{if eq . \"/one\"}}{{continue}}{{end}}{{.}}{{end}}", "/two");
	check("{{with .Config}}{{index .Env 0}}{{end}}{{with .Nothing}}x{{else}}e{{end}}", "A=1e");
	check("{{$x := 1}}{{range .Names}}{{$x = 2}}{{end}}{{$x}}", "2");
	check("a {{- .ID -}} b", "aabcb");
	check("{{range .Names -}}\n {{.}}\n{{- end}}", "/one/two");
	check("{{if and .Yes (eq .N 3)}}both{{end}}", "both");
}

TEST(errors_say_what_and_where)
{
	check_fails("{{.Id}}", "there is no field .Id; there are: .ID, .Names");
	check_fails("{{.State.Status}}", "there is no field .State");
	check_fails("{{.Nothing.X}}", "cannot take .X of nothing");
	check_fails("{{foo .ID}}", "function \"foo\" is not defined");
	check_fails("{{.ID", "\"}}\" is missing");
	check_fails("{{if .ID}}x", "{{end}} is missing");
	check_fails("x{{end}}", "{{end}} without");
	check_fails("{{\"abc}}", "not closed");
	check_fails("{{define \"x\"}}", "not supported");
	check_fails("{{$y}}", "undefined variable $y");
	check_fails("{{index .Names 5}}", "out of range");
	check_fails("{{json}}", "json got 0 arguments");
	check_fails("{{lt 1 \"a\"}}", "cannot compare");
	check_fails("{{break}}", "outside");
	check_fails("{{}}", "a value is missing");
	check_fails("{{.ID 3}}", "not a function");
	check_fails("{{range 3000000}}{{end}}", "too much");
}

TEST(deep_nesting_is_refused)
{
	_cleanup_strbuf_ struct strbuf b = {0};
	strbuf_puts(&b, "{{");
	for (int i = 0; i < 1000; i++)
		strbuf_putc(&b, '(');
	check_fails(strbuf_str(&b), "nested");
	strbuf_reset(&b);
	for (int i = 0; i < 1000; i++)
		strbuf_puts(&b, "{{if .ID}}");
	check_fails(strbuf_str(&b), "nested");
	strbuf_reset(&b);
	strbuf_puts(&b, "{{if .ID}}");
	for (int i = 0; i < 1000; i++)
		strbuf_puts(&b, "{{else if .ID}}");
	check_fails(strbuf_str(&b), "nested");
}

TEST(tables)
{
	_cleanup_strbuf_ struct strbuf out = {0};
	table_align("A\tLONG HEADER\tC\nsome longer cell\tb\tc\n", 10, &out);
	CHECK_STR(strbuf_str(&out),
		  "A                  LONG HEADER   C\nsome longer cell   b             c\n");
	strbuf_reset(&out);
	table_align("a\tb\nplain\nabcdefghijk\tb\n", 10, &out);
	CHECK_STR(strbuf_str(&out), "a         b\nplain\nabcdefghijk   b\n");
	strbuf_reset(&out);
	table_align("", 10, &out);
	CHECK_STR(strbuf_str(&out), "");
}

UNIT_MAIN
