/*
 * lda-virtual: becomes the recipient. What can't be right is the administrator's to
 * repair (4.3.5); a step that fails, or only seems to work, is an error (4.3.0).
 */
#include "identity.h"

#include "privileges.h"

const struct program program = {
	.options = "+d:f:",
	.usage = "lda-virtual -d RECIPIENT [-f SENDER]",
	.takes_environment = 0,
};

/* The recipient's come in the place of all. */
int
identity_settle(struct outcome *o)
{
	(void)o;
	return 0;
}

int
identity_become(void *arg, const struct mailbox *m, struct outcome *o)
{
	const struct privileges_user user = {m->uid, m->gid};
	struct reason why;

	(void)arg;
	if (privileges_may_become(&user, &why))
		outcome_set(o, VERDICT_MISCONFIGURED, "lda-virtual %s", why.text);
	else if (privileges_become_recipient(&user, &why))
		outcome_set(o, VERDICT_TROUBLE, "lda-virtual can't become uid %u: %s",
			(unsigned)user.uid, why.text);
	else
		return 0;
	return -1;
}
