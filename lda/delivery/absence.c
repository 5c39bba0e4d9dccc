#include "absence.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "quota_client.h"
#include "users.h"

#define SECONDS 5 /* less than a look-up may take */

enum answer {
	SILENCE,    /* none that can be believed */
	NOTHING,    /* quotad is of an older version */
	NOT_TAKEN,  /* it has not read this table yet, or found it damaged */
	NOT_SEEN,   /* it knows another table alone */
	BELIEVED,   /* it has read this table through */
	KNOWN,      /* it knows the user */
	UNKNOWN,    /* it does not */
	NOT_ALLOWED /* it may not tell */
};

static enum answer
take_state(const struct quota_answer *a)
{
	const char *state = a->kind == QUOTA_OK ? record_get(&a->fields, "state") : NULL;

	if (!state)
		return NOTHING;
	if (strcmp(state, "used") == 0)
		return BELIEVED;
	return strcmp(state, "unknown") == 0 ? NOT_SEEN : NOT_TAKEN;
}

/* Of the very table that was looked into. */
static enum answer
ask_about_table(struct quota_client *q, const struct stat *table, struct reason *why)
{
	char identity[USERS_IDENTITY_SIZE];
	struct quota_answer a;
	enum answer answer = SILENCE;

	if (quota_send(q, why, "TABLE %s", users_identity(table, identity)) ||
		quota_receive(q, &a, why))
		return SILENCE;
	if (a.kind != QUOTA_MORE)
		answer = take_state(&a);
	quota_answer_clear(&a);
	return answer;
}

/* By the table that quotad has. An address that is no word of a request is nobody's. */
static enum answer
ask_about_user(struct quota_client *q, const char *address, struct reason *why)
{
	char *word = record_escape(address);
	struct quota_answer a;
	enum answer answer = KNOWN;
	int sent = word ? quota_send(q, why, "CHECK %s 0", word) : -1;

	free(word);
	if (sent)
		return q->fd < 0 || !word ? SILENCE : UNKNOWN;
	if (quota_receive(q, &a, why))
		return SILENCE;
	if (a.kind == QUOTA_MORE)
		answer = SILENCE;
	else if (a.kind == QUOTA_ERR)
		answer = strcmp(a.code, "4.7.0") == 0 ? NOT_ALLOWED : UNKNOWN;
	quota_answer_clear(&a);
	return answer;
}

/* Why it is not certain, or NULL. */
static const char *
doubt(struct quota_client *q, const struct stat *table, const char *address,
	struct reason *why)
{
	enum answer of_table = ask_about_table(q, table, why), of_user;

	if (of_table == BELIEVED)
		return NULL;
	if (of_table == NOT_TAKEN)
		return "quotad has not taken this user table: it may be damaged";
	of_user = of_table == SILENCE ? SILENCE : ask_about_user(q, address, why);
	if (of_user == SILENCE)
		return "quotad does not answer whether it knows the user";
	if (of_user == KNOWN)
		return "quotad knows the user, and the user table does not";
	return of_user == NOT_ALLOWED && of_table == NOT_SEEN
		       ? "quotad has another user table"
		       : NULL;
}

void
absence_confirm(const struct conf *c, const struct stat *table, const char *address,
	struct outcome *o)
{
	const uint64_t seconds =
		c->quotad_timeout < SECONDS ? c->quotad_timeout : SECONDS;
	struct quota_client q;
	struct reason why;
	const char *text;

	errno = 0;
	if (quota_connect(&q, c->socket, c->daemon_user, seconds, &why)) {
		if (q.lacks_daemon_user)
			outcome_set(
				o, VERDICT_MISCONFIGURED, "daemon_user: %s", why.text);
		else if (errno != ENOENT && errno != ECONNREFUSED && errno != ENOTDIR)
			outcome_set(o, VERDICT_TROUBLE, "is there no such user? %s",
				why.text);
		return;
	}
	text = doubt(&q, table, address, &why);
	quota_close(&q);
	if (text)
		outcome_set(o, VERDICT_TROUBLE, "is there no such user? %s", text);
}
