/* simulate --stage: at SMTP time, and the maps. */
#include "stage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "maps.h"
#include "quota_client.h"
#include "targets.h"

struct stage {
	struct brimadm *a;
	const char *recipient, *name;
	json_t *all; /* what is shown */
	int status;
};

static void
set_text(json_t *to, const char *name, const char *text)
{
	json_object_set_new(to, name, tool_json_text(text));
}

static void
set_name(const struct stage *s, json_t *to, const char *name, const char *text)
{
	char *shown = s->a->option[OPTION_JSON] ? NULL : record_escape(text);

	json_object_set_new(
		to, name, shown ? tool_json_text(shown) : tool_json_name(text));
	free(shown);
}

/* --- at SMTP time ----------------------------------------------------------------- */

/* All that the address leads to, or why that can't be told. */
static void
add_targets(const struct stage *s)
{
	static const char *const kinds[] = {
		[TARGET_MAILBOX] = "mailbox",
		[TARGET_ELSEWHERE] = "elsewhere",
		[TARGET_NOBODY] = "nobody",
	};
	struct users *u = users_open(s->a->conf.users_db, &s->a->why);
	json_t *list = json_array();
	struct targets t;
	struct outcome o;

	if (!u) {
		set_text(s->all, "table", s->a->why.text);
	} else if (targets_find(&t, u, &s->a->conf, s->recipient, &o)) {
		set_text(s->all, "table", o.text);
	} else {
		for (size_t i = 0; i < t.count; i++) {
			json_t *target = json_object();

			set_text(target, "kind", kinds[t.list[i].kind]);
			set_name(s, target, "address", t.list[i].address);
			json_array_append_new(list, target);
		}
		targets_clear(&t);
	}
	users_close(&u);
	json_object_set_new(s->all, "targets", list);
}

/* "OK", "NO <verdict> <reply code> <X.Y.Z> <text>" or "ERR <X.Y.Z> <text>": 0 with the
 * outcome, or -1. */
static int
take_answer(const char *line, struct outcome *o)
{
	enum verdict verdict = VERDICT_TROUBLE;
	char name[40];
	int used = 0;

	if (strcmp(line, "OK") == 0) {
		outcome_set(o, VERDICT_DELIVERED, NULL);
		return 0;
	}
	if (strncmp(line, "ERR 4.5.2 ", 10) == 0) {
		outcome_set(o, VERDICT_TROUBLE,
			"quotad is of an older version, which can't tell: start it "
			"again");
		return 0;
	}
	if (sscanf(line, "NO %39s %*3[0-9] %*9[0-9.]%n", name, &used) == 1 && used > 0) {
		if (verdict_parse(name, &verdict))
			return -1;
	} else if (sscanf(line, "ERR %9[0-9.]%n", name, &used) == 1 && used > 0) {
		if (strcmp(name, verdict_code(VERDICT_MISCONFIGURED)) == 0)
			verdict = VERDICT_MISCONFIGURED;
	} else {
		return -1;
	}
	outcome_set(o, verdict, "%s", line + used + (line[used] == ' '));
	return 0;
}

/* The request's arguments; NULL without memory. To tell a login, a sender must be told.
 */
static char *
request(const struct stage *s, uint64_t size)
{
	const char *sender = s->a->option[OPTION_SENDER];
	const char *login = s->a->option[OPTION_LOGIN];
	char *recipient = record_escape(s->recipient), *text = NULL;
	char *from = record_escape(sender && *sender ? sender : "<>");
	char *as = record_escape(login ? login : "");

	if (recipient && from && as &&
		asprintf(&text, "ACCESS %s %" PRIu64 "%s%s stage=%s%s%s trace=no",
			recipient, size, sender || login ? " " : "",
			sender || login ? from : "", s->name, login ? " login=" : "",
			as) < 0)
		text = NULL;
	free(recipient);
	free(from);
	free(as);
	return text;
}

/* What quotad says: 0, or -1 with the reason. */
static int
ask_quotad(const struct stage *s, uint64_t size, struct outcome *o, struct reason *why)
{
	const struct conf *c = &s->a->conf;
	struct quota_client q = {.fd = -1};
	char *text = request(s, size);
	const char *line;
	int result = -1;

	reason_set(why, "no memory");
	if (text &&
		quota_connect(&q, c->socket, c->daemon_user, c->quotad_timeout, why) ==
			0 &&
		quota_send(&q, why, "%s", text) == 0 &&
		(line = quota_receive_line(&q, why)) != NULL)
		result = take_answer(line, o) == 0
				 ? 0
				 : reason_set(why, "quotad's answer makes no sense");
	quota_close(&q);
	free(text);
	return result;
}

/* What Postfix is told, by the policy service. */
static void
add_reply(const struct stage *s, const struct outcome *o)
{
	int ours = o->verdict == VERDICT_TROUBLE || o->verdict == VERDICT_MISCONFIGURED;
	char reply[OUTCOME_REPLY_SIZE];

	outcome_reply(o, reply);
	set_text(s->all, "reply",
		ours && s->a->conf.policy_error_passes ? "DUNNO" : reply);
}

static void
simulate_access(struct stage *s, uint64_t size)
{
	struct outcome o = {.verdict = VERDICT_TROUBLE};
	struct reason why;

	add_targets(s);
	if (ask_quotad(s, size, &o, &why)) {
		set_text(s->all, "quotad", why.text);
		set_text(s->all, "verdict", verdict_name(VERDICT_TROUBLE));
		s->status = TOOL_CANT;
		return;
	}
	if (o.verdict == VERDICT_TROUBLE || o.verdict == VERDICT_MISCONFIGURED)
		set_text(s->all, "quotad", o.text);
	set_text(s->all, "verdict", verdict_name(o.verdict));
	add_reply(s, &o);
	if (o.verdict == VERDICT_DELIVERED)
		s->status = TOOL_OK;
	else
		s->status = verdict_code(o.verdict)[0] == '4' ? TOOL_CANT : TOOL_NO;
}

/* --- maps ------------------------------------------------------------------------- */

/* The map of domains is asked about a domain, the others about the address. */
static const char *
key_of(const struct stage *s, const char *map)
{
	const char *at = address_domain_key(s->recipient);

	return strcmp(map, "domain") == 0 && at ? at + 1 : s->recipient;
}

/* One answer, as the protocol has it. */
static void
add_map(struct stage *s, struct users *u, json_t *maps, const char *name)
{
	static const char *const words[] = {
		[MAPS_FOUND] = "OK",
		[MAPS_NOT_FOUND] = "NOTFOUND",
		[MAPS_ERROR] = "TEMP",
	};
	json_t *map = json_object();
	struct outcome o;
	char *value = NULL;
	enum maps_answer answer =
		maps_find(name, u, &s->a->conf, key_of(s, name), &value, &o);

	set_text(map, "answer", words[answer]);
	if (answer == MAPS_FOUND) {
		set_name(s, map, "value", value);
		free(value);
	} else if (answer == MAPS_ERROR) {
		set_text(map, "value", o.text);
		s->status = TOOL_CANT;
	}
	json_object_set_new(maps, name, map);
}

static void
simulate_maps(struct stage *s)
{
	struct users *u = users_open(s->a->conf.users_db, &s->a->why);
	json_t *maps = json_object();

	s->status = u ? TOOL_OK : TOOL_CANT;
	if (!u)
		set_text(s->all, "table", s->a->why.text);
	for (size_t i = 0; u && maps_name(i); i++)
		add_map(s, u, maps, maps_name(i));
	users_close(&u);
	json_object_set_new(s->all, "maps", maps);
}

/* --- showing it ------------------------------------------------------------------- */

/* "mailbox alice@example.org", of a target or a map. */
static json_t *
line_of(const char *first, const char *second, const char *third)
{
	return json_sprintf("%s%s%s%s%s", first, second ? " " : "", second ? second : "",
		third ? " " : "", third ? third : "");
}

static const char *
text_of(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static void
print_text(const struct stage *s)
{
	static const char *const names[] = {"table", "quotad", "verdict", "reply"};
	json_t *lines = json_array(), *value;
	const char *name;
	size_t i;

	json_array_foreach(json_object_get(s->all, "targets"), i, value)
	{
		json_array_append_new(lines,
			line_of(text_of(value, "kind"), text_of(value, "address"), NULL));
	}
	simulate_print_all("targets", lines);
	json_decref(lines);
	lines = json_array();
	json_object_foreach(json_object_get(s->all, "maps"), name, value)
	{
		json_array_append_new(lines,
			line_of(name, text_of(value, "answer"), text_of(value, "value")));
	}
	simulate_print_all("maps", lines);
	json_decref(lines);
	for (i = 0; i < sizeof names / sizeof *names; i++)
		if (text_of(s->all, names[i]))
			printf(SIMULATE_LABEL "%s\n", names[i],
				text_of(s->all, names[i]));
}

int
simulate_stage(struct brimadm *a, const char *recipient, const char *stage, uint64_t size)
{
	static const char *const stages[] = {"rcpt", "data", "message", "map"};
	struct stage s = {.a = a, .name = stage};
	char *asked;
	size_t i = 0;

	while (i < 4 && strcmp(stages[i], stage) != 0)
		i++;
	if (i == 4)
		return tool_fail(TOOL_USAGE,
			"--stage is rcpt, data, message, delivery or map, not %.100s",
			stage);
	s.recipient = asked = strdup(recipient);
	if (!asked)
		return tool_fail(TOOL_CANT, "no memory");
	s.all = json_object();
	set_text(s.all, "stage", stage);
	if (i == 3) {
		simulate_maps(&s);
	} else {
		address_drop_last_dot(asked); /* as the policy service does */
		simulate_access(&s, size);
	}
	if (a->option[OPTION_JSON]) {
		tool_json_print(s.all);
	} else {
		print_text(&s);
		json_decref(s.all);
	}
	free(asked);
	return s.status;
}
