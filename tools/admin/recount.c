/* The command recount: quotad counts mailboxes anew. --empty says of one that is missing,
 * with the mail that it had, that this is meant. */
#include <stdlib.h>
#include <string.h>

#include "brimadm.h"
#include "quota_client.h"

#define PATIENCE 7 /* times quotad_timeout: a person waits longer than a delivery */

/* It must be the address of one mailbox itself: an alias, a catch-all or a pattern may
 * lead to a mailbox that was not meant. */
static int
find_key(struct brimadm *a, const char *text, char key[ADDRESS_MAX + 1])
{
	struct users *u = users_open(a->conf.users_db, &a->why);
	struct record r = {0};
	int status, found;

	if (!u)
		return tool_fail(TOOL_CANT, "%s", a->why.text);
	status = brimadm_status(users_name(u, key, text, &a->why));
	found = status ? 0 : users_get(u, key, &r, &a->why);
	if (status || found < 0)
		status = tool_fail(status ? (enum tool_status)status : TOOL_CANT,
			"\"%s\": %s", text, a->why.text);
	else if (!found)
		status = tool_fail(TOOL_NO, "%s is not in the table", key);
	else if (mailbox_kind_of(&r) != MAILBOX_KIND_MAILBOX)
		status = tool_fail(TOOL_USAGE, "%s is not a mailbox", key);
	record_clear(&r);
	users_close(&u);
	return status;
}

static int
take_answer(const struct quota_answer *answer, const char *key, uint64_t *used)
{
	if (quota_is_too_old(answer))
		return tool_fail(TOOL_CANT,
			"%s: quotad is of an older version: start it "
			"again",
			key);
	if (answer->kind != QUOTA_OK)
		return tool_fail(TOOL_CANT, "%s: %s", key, answer->outcome.text);
	if (record_number(&answer->fields, "used", 0, used))
		return tool_fail(TOOL_CANT, "%s: quotad's answer makes no sense", key);
	return TOOL_OK;
}

static int
ask(struct brimadm *a, const char *key, uint64_t *used)
{
	const struct conf *c = &a->conf;
	struct quota_client q = {.fd = -1};
	struct quota_answer answer = {0};
	char *word = record_escape(key);
	int status;

	reason_set(&a->why, "no memory");
	if (!word ||
		quota_connect(&q, c->socket, c->daemon_user, PATIENCE * c->quotad_timeout,
			&a->why) ||
		quota_send(&q, &a->why, "RECOUNT %s%s", word,
			a->option[OPTION_EMPTY] ? " empty" : "") ||
		quota_receive(&q, &answer, &a->why))
		status = tool_fail(TOOL_CANT, "%s: %s", key, a->why.text);
	else
		status = take_answer(&answer, key, used);
	quota_answer_clear(&answer);
	quota_close(&q);
	free(word);
	return status;
}

int
brimadm_recount(struct brimadm *a, int argc, char **argv)
{
	static const struct tool_column columns[] = {
		{"MAILBOX", 0}, {"USED", TOOL_RIGHT}};
	char key[ADDRESS_MAX + 1], text[AMOUNT_SIZE];
	struct tool_table *t;
	uint64_t used = 0;
	int status = find_key(a, argv[0], key);

	(void)argc;
	if (status || (status = ask(a, key, &used)))
		return status;
	t = tool_table_new(columns, 2);
	if (!t || tool_table_row(t, (const char *[]){key, amount_show(used, text)}))
		return tool_fail(TOOL_CANT, "no memory");
	tool_table_print(&t);
	return TOOL_OK;
}
