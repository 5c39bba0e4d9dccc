/* lda: this process is the recipient already, or must not deliver. */
#include <unistd.h>

#include "identity.h"
#include "privileges.h"

const struct program program = {
	.options = "+c:d:f:",
	.usage = "lda [-c FILE] [-d RECIPIENT] [-f SENDER]",
	.takes_environment = 1,
};

/* sendmail's flag S makes the mail user the effective one alone: behind it is root. */
int
identity_settle(struct outcome *o)
{
	struct reason why;

	if (privileges_settle(&why) == 0)
		return 0;
	outcome_set(o, VERDICT_TROUBLE, "lda %s", why.text);
	return -1;
}

int
identity_become(void *arg, const struct mailbox *m, struct outcome *o)
{
	(void)arg;
	if (m->uid == geteuid())
		return 0;
	outcome_set(o, VERDICT_MISCONFIGURED,
		"the mailbox belongs to uid %u, but lda runs as uid %u", (unsigned)m->uid,
		(unsigned)geteuid());
	return -1;
}
