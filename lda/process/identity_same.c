/* lda: this process is the recipient already, or must not deliver. */
#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "identity.h"

const struct program program = {
	.options = "+c:d:f:",
	.usage = "lda [-c FILE] [-d RECIPIENT] [-f SENDER]",
	.takes_environment = 1,
};

/* sendmail's flag S makes the mail user the effective one alone: behind it is root. */
int
identity_settle(struct outcome *o)
{
	const uid_t uid = (uid_t)getauxval(AT_EUID);
	const gid_t gid = (gid_t)getauxval(AT_EGID);

	if (getauxval(AT_UID) == uid && getauxval(AT_GID) == gid)
		return 0;
	if (setresgid(gid, gid, gid) == 0 && setresuid(uid, uid, uid) == 0 &&
		getuid() == uid && getgid() == gid)
		return 0;
	outcome_set(o, VERDICT_TROUBLE, "lda can't be uid %u alone: %s", (unsigned)uid,
		strerror(errno));
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
