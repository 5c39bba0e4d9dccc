/*
 * lda-virtual: becomes the recipient. What can't be right is the administrator's to mend
 * (4.3.5); a step that fails, or only says that it worked, is trouble (4.3.0).
 */
#include "identity.h"

#include "privileges.h"

const struct program program = {
	.options = "+d:f:",
	.usage = "lda-virtual -d RECIPIENT [-f SENDER]",
	.takes_environment = 0,
};

int
become_recipient(const struct mailbox *m, struct outcome *o)
{
	const struct privileges_user user = {m->uid, m->gid};
	struct reason why;

	if (privileges_may_become(&user, &why))
		outcome_set(o, VERDICT_MISCONFIGURED, "lda-virtual %s", why.text);
	else if (privileges_become_recipient(&user, &why))
		outcome_set(o, VERDICT_TROUBLE, "uid %u can't be become: %s",
			(unsigned)user.uid, why.text);
	else
		return 0;
	return -1;
}
