/*
 * What a process may do: from root to an ordinary user with the capabilities that its job
 * needs, for good. Every step is checked afterwards, and that root can't be regained.
 */
#ifndef BRIM_PRIVILEGES_H
#define BRIM_PRIVILEGES_H

#include <sys/types.h>

#include "reason.h"

#define UID_NOBODY 65534 /* what the kernel shows for ids that it can't map */

struct privileges_user {
	uid_t uid;
	gid_t gid;
};

/* Looks the user up in /etc/passwd; refuses uid 0 and gid 0. */
int privileges_find_user(
	const char *name, struct privileges_user *user, struct reason *why);

/* Looks the user's uid up in /etc/passwd: 1; 0 where it has no such user; -1 with the
 * reason where it can't be read. */
int privileges_find_uid(const char *name, uid_t *uid, struct reason *why);

/* Capabilities that may be kept, as a set. */
enum privileges_kept {
	PRIVILEGES_READ_SEARCH = 1, /* CAP_DAC_READ_SEARCH: look at every file */
	PRIVILEGES_SETUID = 2,      /* CAP_SETUID and CAP_SETGID: become other users */
	PRIVILEGES_SETGID = 4,
};

/* Of the capabilities WANTED (bits of enum privileges_kept) those that this process has.
 */
unsigned privileges_available(unsigned wanted);

/* Capabilities that the start as root uses and nobody keeps. */
enum privileges_start {
	PRIVILEGES_SETPCAP = 8, /* CAP_SETPCAP: empty the bounding set, lock securebits */
	PRIVILEGES_CHOWN = 16,  /* CAP_CHOWN: give the directories that it makes away */
};

/* As root: whether this process may become the user: 0, or -1 with the reason, which says
 * what to do. */
int privileges_may_leave_root(const struct privileges_user *user, struct reason *why);

/* As root: becomes the user with no group but its own and no capability but KEPT (bits of
 * enum privileges_kept that are available, 0 for none); ambient set emptied,
 * no_new_privs; bounding set emptied and securebits locked, too, where CAP_SETPCAP is
 * there: without it no_new_privs alone sees to it that no program that is executed gives
 * anything back. Groups stay only where the user namespace denies setgroups. The check
 * that all this held, and that there is no way back but by what was kept, is part of it.
 */
int privileges_become(
	const struct privileges_user *user, unsigned kept, struct reason *why);

/* As root: the same with nothing kept, for a process that executes a setgid program. It
 * lacks no_new_privs, with which the kernel gives no program its group (nor its user);
 * what a setuid program of root's could still have is bounded: the bounding set must be
 * emptied and securebits locked, so that it gets no capability. -1 also where
 * no_new_privs holds already, or CAP_SETPCAP is missing. */
int privileges_become_for_setgid(const struct privileges_user *user, struct reason *why);

/* As another user than root: stays that user, and is left with KEPT alone as above. */
int privileges_keep(unsigned kept, struct reason *why);

/* Where the effective user, or its group, is another than who began the program: becomes
 * it alone, for good. 0, or -1 with the reason. */
int privileges_settle(struct reason *why);

/* As root, for a while: files are made and opened as the user does it, without any
 * capability; NULL ends it. */
int privileges_act_as(const struct privileges_user *user, struct reason *why);

/* As root, for a while: root of the user's group. privileges_act_as ends it, too. */
int privileges_act_in_group(const struct privileges_user *user, struct reason *why);

/* Whether this process may become that user as below: 0, or -1 where the user is root's,
 * nobody's or no id at all, where the process is root (what it must not have must not
 * have been there), or where it was started without CAP_SETUID and CAP_SETGID; the reason
 * reads "was started ...", and says what to do. */
int privileges_may_become(const struct privileges_user *user, struct reason *why);

/* With CAP_SETUID and CAP_SETGID from the program's file, and another user than root:
 * becomes the user for good, with no group but its own, every capability set emptied,
 * no_new_privs, and no other process of that user may look inside. With these two alone
 * the bounding set can't be changed, and gives nothing to a process that has
 * no_new_privs; with CAP_SETPCAP it is emptied, too. The check that all this held, and
 * that there is no way back, is part of it. */
int privileges_become_recipient(const struct privileges_user *user, struct reason *why);

/* For good: this process may read files and write to what is open, and that is all. It
 * may not open a file to write, make, change or remove one, have a socket, begin a
 * process, or signal, trace or change one. Any other call fails, and so does openat2,
 * whose flags a filter can't see, with ENOSYS; no other process of its user may look
 * inside. 0, or -1 with the reason. */
int privileges_only_read(struct reason *why);

/* Gives the last capability up, too. */
int privileges_drop_all(struct reason *why);

#endif
