/* The effective user alone. Apart from the other privileges, since lda asks this and
 * needs no capabilities. */
#include <sys/auxv.h>
#include <unistd.h>

#include "privileges.h"

int
privileges_settle(struct reason *why)
{
	const uid_t uid = (uid_t)getauxval(AT_EUID);
	const gid_t gid = (gid_t)getauxval(AT_EGID);

	if (getauxval(AT_UID) == uid && getauxval(AT_GID) == gid)
		return 0;
	if (setresgid(gid, gid, gid) == 0 && setresuid(uid, uid, uid) == 0 &&
		getuid() == uid && getgid() == gid)
		return 0;
	return reason_errno(why, "can't be uid %u alone", (unsigned)uid);
}
