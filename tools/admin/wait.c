/* After a change: quotad must have the new table before the command says that it is done.
 */
#include "brimadm.h"

#include <errno.h>
#include <unistd.h>

#include "daemon_table.h"

#define WAIT_SECONDS 5

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
