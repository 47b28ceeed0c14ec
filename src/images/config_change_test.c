/* SPDX-License-Identifier: Apache-2.0 */
#include "config_change.h"

#include "unit.h"

static void check(const char *instruction, const char *want)
{
	_cleanup_config_change_ struct config_change c = {0};

	CHECK_OK(config_change_apply(&c, instruction));
	_cleanup_json_ struct json *o = config_change_json(&c);
	_cleanup_free_ char *text = json_print(o, JSON_COMPACT);
	CHECK_STR(text, want);
}

TEST(forms)
{
	check("CMD [\"sh\", \"-c\", \"x y\"]", "{\"Cmd\":[\"sh\",\"-c\",\"x y\"]}");
	check("cmd echo  a", "{\"Cmd\":[\"/bin/sh\",\"-c\",\"echo  a\"]}");
	check("  ENTRYPOINT [not json", "{\"Entrypoint\":[\"/bin/sh\",\"-c\",\"[not json\"]}");
	check("ENV A=1 B=\"two words\" C='q\"q' D=a\\ b A=2",
	      "{\"Env\":[\"A=2\",\"B=two words\",\"C=q\\\"q\",\"D=a b\"]}");
	check("ENV A two words", "{\"Env\":[\"A=two words\"]}");
	check("EXPOSE 80 443/TCP 8000-8002/udp", "{\"ExposedPorts\":{\"80/tcp\":{},\"443/tcp\":{},\"8000/"
						 "udp\":{},\"8001/udp\":{},\"8002/udp\":{}}}");
	check("VOLUME /a /b", "{\"Volumes\":{\"/a\":{},\"/b\":{}}}");
	check("VOLUME [\"/a\"]", "{\"Volumes\":{\"/a\":{}}}");
	check("LABEL \"a b=c \\\"d\"", "{\"Labels\":{\"a b\":\"c \\\"d\"}}");
	check("LABEL k=v k=w", "{\"Labels\":{\"k\":\"w\"}}");
	check("USER 1000:1000", "{\"User\":\"1000:1000\"}");
	check("STOPSIGNAL SIGQUIT", "{\"StopSignal\":\"SIGQUIT\"}");
}

TEST(health_and_on_build)
{
	check("HEALTHCHECK NONE", "{\"Healthcheck\":{\"Test\":[\"NONE\"]}}");
	check("HEALTHCHECK CMD [\"a\",\"b\"]", "{\"Healthcheck\":{\"Test\":[\"CMD\",\"a\",\"b\"]}}");
	check("healthcheck --interval=1m30s --timeout=500ms --retries=3 CMD a  b",
	      "{\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"a  b\"],\"Interval\":90000000000,"
	      "\"Timeout\":500000000,\"Retries\":3}}");
	check("ONBUILD RUN make", "{\"OnBuild\":[\"RUN make\"]}");
}

/* The result of instructions over an existing configuration. */
static void check_over(const char *config, const char *const *instructions, const char *want)
{
	_cleanup_config_change_ struct config_change c = {0};
	_cleanup_json_ struct json *doc = NULL;

	CHECK_OK(json_parse(config, strlen(config), "config", &doc));
	struct json_cursor root = json_root(doc);
	CHECK_OK(config_change_load(&c, &root));
	for (; *instructions; instructions++)
		CHECK_OK(config_change_apply(&c, *instructions));
	config_change_store(&c, doc);
	_cleanup_free_ char *text = json_print(doc, JSON_COMPACT);
	CHECK_STR(text, want);
}

TEST(over_an_existing_configuration)
{
	const char *config =
		"{\"Other\":1,\"Cmd\":[\"c\"],\"Entrypoint\":[\"e\"],\"Env\":[\"A=1\"],"
		"\"Labels\":{\"l\":\"1\"},\"WorkingDir\":\"/w\",\"Healthcheck\":{\"Retries\":2}}";

	check_over(config, (const char *[]){"ENV B=2 A=3", "LABEL l=2 m=3", "WORKDIR x", NULL},
		   "{\"Other\":1,\"Env\":[\"A=3\",\"B=2\"],\"Entrypoint\":[\"e\"],\"Cmd\":[\"c\"],"
		   "\"WorkingDir\":\"/w/"
		   "x\",\"Labels\":{\"l\":\"2\",\"m\":\"3\"},\"Healthcheck\":{\"Retries\":2}}");
	/* An entrypoint takes the old command away, one given before it stays. */
	check_over("{\"Cmd\":[\"c\"]}", (const char *[]){"ENTRYPOINT [\"e\"]", NULL},
		   "{\"Entrypoint\":[\"e\"]}");
	check_over("{}", (const char *[]){"CMD [\"c\"]", "ENTRYPOINT [\"e\"]", NULL},
		   "{\"Entrypoint\":[\"e\"],\"Cmd\":[\"c\"]}");
	check_over("{\"Cmd\":[\"c\"]}", (const char *[]){"CMD []", NULL}, "{}");
}

TEST(workdir_is_relative_to_the_one_before)
{
	_cleanup_config_change_ struct config_change c = {0};

	CHECK_OK(config_change_apply(&c, "WORKDIR a"));
	CHECK_STR(c.workdir, "/a");
	CHECK_OK(config_change_apply(&c, "WORKDIR b"));
	CHECK_STR(c.workdir, "/a/b");
	CHECK_OK(config_change_apply(&c, "WORKDIR /c"));
	CHECK_STR(c.workdir, "/c");
}

TEST(refusals)
{
	_cleanup_config_change_ struct config_change c = {0};

	CHECK_ERR(config_change_apply(&c, ""), ERR_INVALID);
	CHECK_ERR(config_change_apply(&c, "RUN x"), ERR_INVALID);
	CHECK_ERR(config_change_apply(&c, "CMD"), ERR_INVALID);
	CHECK_ERR(config_change_apply(&c, "HEALTHCHECK"), ERR_INVALID);
	CHECK_ERR(config_change_apply(&c, "HEALTHCHECK NONE x"), ERR_INVALID);
	CHECK_ERR(config_change_apply(&c, "HEALTHCHECK --interval CMD x"), ERR_INVALID);
	CHECK_ERR(config_change_apply(&c, "HEALTHCHECK --interval=3 CMD x"), ERR_INVALID);
	CHECK_ERR(config_change_apply(&c, "HEALTHCHECK --timeout=10us CMD x"), ERR_INVALID);
	CHECK_ERR(config_change_apply(&c, "HEALTHCHECK --speed=1s CMD x"), ERR_INVALID);
	CHECK_ERR(config_change_apply(&c, "HEALTHCHECK --interval=1s x"), ERR_INVALID);
	CHECK_ERR(config_change_apply(&c, "ONBUILD FROM x"), ERR_INVALID);
	CHECK_ERR(config_change_apply(&c, "ENV A"), ERR_INVALID);
	CHECK_ERR(config_change_apply(&c, "ENV A=1 B"), ERR_INVALID);
	CHECK_ERR(config_change_apply(&c, "ENV A=\"1"), ERR_INVALID);
	CHECK_ERR(config_change_apply(&c, "EXPOSE 0"), ERR_INVALID);
	CHECK_ERR(config_change_apply(&c, "EXPOSE 80/icmp"), ERR_INVALID);
	CHECK_ERR(config_change_apply(&c, "EXPOSE 9-8"), ERR_INVALID);
	CHECK_ERR(config_change_apply(&c, "STOPSIGNAL SIGNO"), ERR_INVALID);
}

UNIT_MAIN
