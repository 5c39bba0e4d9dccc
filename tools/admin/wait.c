/* After a change: quotad must have the new table before the command says that it is done.
 */
#include "brimadm.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon_table.h"

#define WAIT_SECONDS 5

/* quotad looks for all that was removed by and by, and for what it is asked about at
 * once: should it be added again now, nothing is known of it any more. */
static void
tell_removed(struct quota_client *q, const char *key)
{
	char *word = record_escape(key);
	struct quota_answer a;
	struct reason why;

	if (word && quota_send(q, &why, "GET %s", word) == 0 &&
		quota_receive(q, &a, &why) == 0)
		quota_answer_clear(&a);
	free(word);
}

void
brimadm_wait(const struct brimadm *a, const struct change_made *made)
{
	struct quota_client q;
	struct reason why;
	int has = -1;

	/* nobody listens: nobody has to be waited for */
	if (access(a->conf.socket, F_OK))
		return;
	errno = 0;
	if (quota_connect(&q, a->conf.socket, a->conf.daemon_user, WAIT_SECONDS, &why)) {
		if (errno == ECONNREFUSED || errno == ENOENT)
			return;
	} else {
		has = daemon_table_wait(&q, &made->table, made->generation,
			WAIT_SECONDS * 1000, NULL, &why);
		if (has == 1 && a->removed[0])
			tell_removed(&q, a->removed);
		quota_close(&q);
	}
	if (has < 0)
		tool_warn(
			"the table is changed, but quotad can't be asked whether it has "
			"taken it: %s",
			why.text);
	else if (has == 0 && why.text[0])
		tool_warn(
			"the table is changed, but quotad can't use it and keeps the one "
			"before: %s",
			why.text);
	else if (has == 0)
		tool_warn("the table is changed, but quotad has not taken it after %d s: "
			  "see its log",
			WAIT_SECONDS);
}
