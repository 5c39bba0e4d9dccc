/*
 * Privileges: the steps from root, or from a user that may change its uid, to an ordinary
 * user, each with its check.
 *
 * The order is the kernel's: groups while CAP_SETGID is there, bounding set and
 * securebits while CAP_SETPCAP is, then the user, then the capabilities.
 * SECBIT_NO_SETUID_FIXUP keeps setresuid from touching the capabilities, so that one call
 * at the end says exactly which are left. Without CAP_SETPCAP, which a container may
 * lack, "keep capabilities" does the same for that one change. A step that fails, or that
 * only says it worked, ends in -1; the process is then somewhere in between and must end.
 */
#include "privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LOCKED                                                                           \
	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |                 \
		SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |                \
		SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

static int
drop_bounding_set(struct reason *why)
{
	for (cap_value_t cap = 0; cap < cap_max_bits(); cap++)
		if (cap_drop_bound(cap) == -1)
			return reason_errno(why, "bounding set, capability %d", cap);
	if (cap_reset_ambient() == -1)
		return reason_errno(why, "ambient capabilities");
	if (cap_set_secbits(LOCKED) == -1)
		return reason_errno(why, "securebits");
	return 0;
}

/* Without CAP_SETPCAP. Where even this is locked the capabilities are lost with the user.
 */
static int
keep_caps(int keep, struct reason *why)
{
	if (cap_reset_ambient() == -1)
		return reason_errno(why, "ambient capabilities");
	prctl(PR_SET_KEEPCAPS, keep, 0, 0, 0);
	return 0;
}

/* Whether this is a user namespace whose processes must keep the groups that they have
 * (user_namespaces(7)): dropping one could give access. */
static int
groups_must_stay(void)
{
	FILE *file = fopen("/proc/self/setgroups", "re");
	char word[8] = "";

	if (file == NULL)
		return 0;
	if (fgets(word, sizeof word, file) == NULL)
		word[0] = '\0';
	fclose(file);
	return strncmp(word, "deny", 4) == 0;
}

static int
fail_id(struct reason *why, const char *call, unsigned id)
{
	if (errno == EINVAL)
		return reason_set(why,
			"%s %u: this user namespace has no such id (subuid(5))", call,
			id);
	return reason_errno(why, "%s %u", call, id);
}

static int
change_ids(const struct privileges_user *user, struct reason *why)
{
	if (setresgid(user->gid, user->gid, user->gid) == -1)
		return fail_id(why, "setresgid", user->gid);
	if (setresuid(user->uid, user->uid, user->uid) == -1)
		return fail_id(why, "setresuid", user->uid);
	return 0;
}

static const struct {
	unsigned kept;
	cap_value_t cap;
} capabilities[] = {
	{PRIVILEGES_READ_SEARCH, CAP_DAC_READ_SEARCH},
	{PRIVILEGES_SETUID, CAP_SETUID},
	{PRIVILEGES_SETGID, CAP_SETGID},
	{PRIVILEGES_SETPCAP, CAP_SETPCAP},
	{PRIVILEGES_CHOWN, CAP_CHOWN},
};

unsigned
privileges_available(unsigned wanted)
{
	cap_t caps = cap_get_proc();
	unsigned found = 0;

	for (size_t i = 0; caps && i < sizeof capabilities / sizeof *capabilities; i++) {
		cap_flag_value_t has = CAP_CLEAR;

		if (cap_get_flag(caps, capabilities[i].cap, CAP_PERMITTED, &has) == 0 &&
			has == CAP_SET)
			found |= capabilities[i].kept;
	}
	cap_free(caps);
	return found & wanted;
}

/* The capability sets that are to be left, for cap_free; NULL without memory. */
static cap_t
wanted_caps(unsigned kept)
{
	cap_t caps = cap_init();

	for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++) {
		const cap_value_t *cap = &capabilities[i].cap;

		if (caps == NULL || !(kept & capabilities[i].kept))
			continue;
		if (cap_set_flag(caps, CAP_PERMITTED, 1, cap, CAP_SET) == -1 ||
			cap_set_flag(caps, CAP_EFFECTIVE, 1, cap, CAP_SET) == -1) {
			cap_free(caps);
			caps = NULL;
		}
	}
	return caps;
}

/* Sets the capabilities, and looks whether they are so. */
static int
set_caps(unsigned kept, struct reason *why)
{
	cap_t wanted = wanted_caps(kept), got = NULL;
	int result = -1;

	if (wanted == NULL || cap_set_proc(wanted) == -1)
		reason_errno(why, "capabilities");
	else if ((got = cap_get_proc()) == NULL)
		reason_errno(why, "reading the capabilities");
	else if (cap_compare(wanted, got) != 0)
		reason_set(why, "capabilities are not what they were set to");
	else
		result = 0;
	cap_free(got);
	cap_free(wanted);
	return result;
}

/* No other process of the same user may read or change this one. */
static int
close_the_windows(struct reason *why)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 ||
		prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return reason_errno(why, "dumpable");
	return 0;
}

/* No program that is executed can give anything back, either. */
static int
close_the_door(struct reason *why)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
		prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return reason_errno(why, "no_new_privs");
	return close_the_windows(why);
}

static int
check_ids(const struct privileges_user *user, int groups_stay, struct reason *why)
{
	uid_t r = 0, e = 0, s = 0; /* root's, in case the call only says that it worked */
	gid_t rg = 0, eg = 0, sg = 0;

	if (getresuid(&r, &e, &s) == -1 || getresgid(&rg, &eg, &sg) == -1)
		return reason_errno(why, "reading the user");
	if (r != user->uid || e != user->uid || s != user->uid)
		return reason_set(
			why, "user is %u, %u, %u and not %u", r, e, s, user->uid);
	if (rg != user->gid || eg != user->gid || sg != user->gid)
		return reason_set(
			why, "group is %u, %u, %u and not %u", rg, eg, sg, user->gid);
	if (!groups_stay && getgroups(0, NULL) != 0)
		return reason_set(why, "supplementary groups are left");
	return 0;
}

static int
check_bounds(struct reason *why)
{
	for (cap_value_t cap = 0; cap < cap_max_bits(); cap++)
		if (cap_get_bound(cap) != 0 || cap_get_ambient(cap) != 0)
			return reason_set(why, "capability %d could be regained", cap);
	if (cap_get_secbits() != LOCKED)
		return reason_set(why, "securebits are not locked");
	return 0;
}

/* Tries the way back; each of these must fail. What a kept capability allows is not
 * tried. */
static int
check_no_way_back(unsigned kept, struct reason *why)
{
	const gid_t root_group = 0;

	if (!(kept & PRIVILEGES_SETUID) &&
		(setresuid(0, 0, 0) == 0 || setresuid(0, (uid_t)-1, (uid_t)-1) == 0 ||
			setresuid((uid_t)-1, 0, (uid_t)-1) == 0))
		return reason_set(why, "root can be regained");
	if (!(kept & PRIVILEGES_SETGID) &&
		(setresgid(0, 0, 0) == 0 || setgroups(1, &root_group) == 0))
		return reason_set(why, "root's group can be regained");
	if (cap_set_secbits(0) == 0)
		return reason_set(why, "securebits can be unlocked");
	return 0;
}

int
privileges_may_leave_root(const struct privileges_user *user, struct reason *why)
{
	const unsigned both = PRIVILEGES_SETUID | PRIVILEGES_SETGID;
	unsigned found = privileges_available(both);

	if (found == both)
		return 0;
	return reason_set(why,
		"root without %s can't become uid %u, gid %u: give it CAP_SETUID and "
		"CAP_SETGID, or start it as that user",
		found == 0                   ? "CAP_SETUID and CAP_SETGID"
		: found == PRIVILEGES_SETUID ? "CAP_SETGID"
					     : "CAP_SETUID",
		user->uid, user->gid);
}

/* As root: DOOR is the last step, after which nothing may be given back. */
static int
become(const struct privileges_user *user, unsigned kept, int (*door)(struct reason *why),
	struct reason *why)
{
	int can_bound = privileges_available(PRIVILEGES_SETPCAP) != 0, groups_stay = 0;

	if (user->uid == 0 || user->gid == 0 || user->uid == (uid_t)-1 ||
		user->gid == (gid_t)-1)
		return reason_set(
			why, "refusing to become uid %u, gid %u", user->uid, user->gid);
	if ((can_bound ? drop_bounding_set(why) : keep_caps(1, why)) == -1)
		return -1;
	if (setgroups(0, NULL) == -1) {
		groups_stay = errno == EPERM && groups_must_stay();
		if (!groups_stay)
			return reason_errno(why, "setgroups");
	}
	if (change_ids(user, why) == -1 || (!can_bound && keep_caps(0, why) == -1) ||
		set_caps(kept, why) == -1 || door(why) == -1)
		return -1;
	if (check_ids(user, groups_stay, why) == -1 ||
		(can_bound && check_bounds(why) == -1))
		return -1;
	return check_no_way_back(kept, why);
}

int
privileges_become(const struct privileges_user *user, unsigned kept, struct reason *why)
{
	return become(user, kept, close_the_door, why);
}

int
privileges_become_for_setgid(const struct privileges_user *user, struct reason *why)
{
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 0)
		return reason_set(why,
			"no_new_privs holds, so that no setgid program gets its group: "
			"take NoNewPrivileges= out of the unit, and User= (with which "
			"systemd sets it), or no-new-privileges out of the container's "
			"options");
	if (privileges_available(PRIVILEGES_SETPCAP) == 0)
		return reason_set(why,
			"root without CAP_SETPCAP can't empty the bounding set, and "
			"without no_new_privs a program that is executed could get from "
			"it: give it CAP_SETPCAP");
	return become(user, 0, close_the_windows, why);
}

int
privileges_keep(unsigned kept, struct reason *why)
{
	int can_bound = privileges_available(PRIVILEGES_SETPCAP) != 0;

	if (can_bound && drop_bounding_set(why) == -1)
		return -1;
	if (set_caps(kept, why) == -1 || close_the_door(why) == -1)
		return -1;
	return can_bound ? check_bounds(why) : 0;
}

/* The effective capabilities go and come back with the effective user. */
int
privileges_act_as(const struct privileges_user *user, struct reason *why)
{
	const uid_t uid = user ? user->uid : 0;
	const gid_t gid = user ? user->gid : getgid();

	if (!user && seteuid(uid) == -1)
		return reason_errno(why, "seteuid %u", uid);
	if (setegid(gid) == -1)
		return fail_id(why, "setegid", gid);
	if (user && seteuid(uid) == -1)
		return fail_id(why, "seteuid", uid);
	return 0;
}

int
privileges_act_in_group(const struct privileges_user *user, struct reason *why)
{
	if (seteuid(0) == -1)
		return reason_errno(why, "seteuid 0");
	return setegid(user->gid) == -1 ? fail_id(why, "setegid", user->gid) : 0;
}

/* --- from a user with two capabilities to a recipient ----------------------------- */

static int
check_recipient(const struct privileges_user *user, struct reason *why)
{
	if (user->uid == 0 || user->uid == UID_NOBODY || user->uid == (uid_t)-1)
		return reason_set(why, "does not become uid %u", user->uid);
	if (user->gid == 0 || user->gid == UID_NOBODY || user->gid == (gid_t)-1)
		return reason_set(why, "does not become gid %u", user->gid);
	return 0;
}

/* 1 if both capabilities are in force, 0, or -1 with the reason. */
static int
have_caps(cap_value_t a, cap_value_t b, struct reason *why)
{
	cap_flag_value_t has_a = CAP_CLEAR, has_b = CAP_CLEAR;
	cap_t caps = cap_get_proc();
	int failed = !caps || cap_get_flag(caps, a, CAP_EFFECTIVE, &has_a) == -1 ||
		     cap_get_flag(caps, b, CAP_EFFECTIVE, &has_b) == -1;

	cap_free(caps);
	if (failed)
		return reason_errno(why, "reading the capabilities");
	return has_a == CAP_SET && has_b == CAP_SET;
}

/* The kernel doesn't say why it left a file's capabilities out: these are its reasons
 * (capabilities(7)). */
static int
say_no_caps(struct reason *why)
{
	struct statvfs fs;
	const char *cause = "has its file none? (setcap cap_setuid,cap_setgid=ep FILE)";

	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		cause = "no_new_privs holds for the MTA; take NoNewPrivileges= out of "
			"its "
			"unit, or no-new-privileges out of the container's options";
	else if (statvfs("/proc/self/exe", &fs) == 0 && fs.f_flag & ST_NOSUID)
		cause = "it is on a nosuid file system; install it on another";
	return reason_set(why, "was started without its capabilities: %s", cause);
}

int
privileges_may_become(const struct privileges_user *user, struct reason *why)
{
	uid_t real = 0, effective = 0, saved = 0;
	int can;

	if (check_recipient(user, why) == -1)
		return -1;
	if (getresuid(&real, &effective, &saved) == -1 || !real || !effective || !saved)
		return reason_set(why, "was started as root; give it a user of its own");
	can = have_caps(CAP_SETUID, CAP_SETGID, why);
	if (can == 0)
		return say_no_caps(why);
	return can == 1 ? 0 : -1;
}

/* Neither the user that this was before nor root. */
static int
check_no_way_back_to(const struct privileges_user *old,
	const struct privileges_user *user, struct reason *why)
{
	const uid_t none = (uid_t)-1;

	if (old->uid != user->uid &&
		(setresuid(none, old->uid, none) == 0 ||
			setresuid(old->uid, old->uid, old->uid) == 0))
		return reason_set(why, "uid %u can be regained", old->uid);
	if (old->gid != user->gid && setresgid(none, old->gid, none) == 0)
		return reason_set(why, "gid %u can be regained", old->gid);
	return check_no_way_back(0, why);
}

int
privileges_become_recipient(const struct privileges_user *user, struct reason *why)
{
	const struct privileges_user old = {getuid(), getgid()};
	int can_bound = have_caps(CAP_SETPCAP, CAP_SETUID, why);

	if (check_recipient(user, why) == -1 || can_bound == -1)
		return -1;
	if (can_bound && drop_bounding_set(why) == -1)
		return -1;
	if (setgroups(0, NULL) == -1)
		return reason_errno(why, "setgroups");
	if (change_ids(user, why) == -1 || set_caps(0, why) == -1 ||
		close_the_door(why) == -1)
		return -1;
	if (check_ids(user, 0, why) == -1 || (can_bound && check_bounds(why) == -1))
		return -1;
	return check_no_way_back_to(&old, user, why);
}

int
privileges_drop_all(struct reason *why)
{
	if (set_caps(0, why) == -1)
		return -1;
	return close_the_door(why);
}
