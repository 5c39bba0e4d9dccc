/*
 * Privileges, for real: each test is a process of its own (Check forks) that gives root
 * up and looks at /proc/self/status. Pretended success is strace's fault injection into
 * this program started once more with the word "become".
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "privileges.h"
#include "suite.h"

#define NOTICED 3 /* exit status of "become" where it failed */

static const struct privileges_user daemon_user = {1, 1};

/* The value of a line of /proc/self/status, blanks trimmed. */
static const char *
status_of(const char *name)
{
	static char line[512];
	FILE *file = fopen("/proc/self/status", "re");
	size_t length = strlen(name);
	char *value = NULL;

	ck_assert_ptr_nonnull(file);
	while (value == NULL && fgets(line, sizeof line, file) != NULL)
		if (strncmp(line, name, length) == 0 && line[length] == ':')
			value = line + length + 1;
	fclose(file);
	ck_assert_ptr_nonnull(value);
	value += strspn(value, " \t");
	value[strcspn(value, "\n")] = '\0';
	for (size_t end = strlen(value); end > 0 && value[end - 1] == ' ';)
		value[--end] = '\0';
	return value;
}

static void
become(unsigned kept)
{
	struct reason why;
	const gid_t groups[] = {4, 5};

	ck_assert_int_eq(setgroups(2, groups), 0);
	ck_assert_msg(privileges_become(&daemon_user, kept, &why) == 0, "%s", why.text);
}

START_TEST(the_daemon_has_no_group_and_no_capability_left)
{
	become(0);
	ck_assert_str_eq(status_of("Uid"), "1\t1\t1\t1");
	ck_assert_str_eq(status_of("Gid"), "1\t1\t1\t1");
	ck_assert_str_eq(status_of("Groups"), "");
	for (const char *const *set = (const char *const[]){"CapInh", "CapPrm", "CapEff",
		     "CapBnd", "CapAmb", NULL};
		*set != NULL; set++)
		ck_assert_str_eq(status_of(*set), "0000000000000000");
	ck_assert_str_eq(status_of("NoNewPrivs"), "1");
	ck_assert_int_eq(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
}
END_TEST

START_TEST(the_scanner_keeps_read_search_alone)
{
	become(PRIVILEGES_READ_SEARCH);
	ck_assert_str_eq(status_of("Uid"), "1\t1\t1\t1");
	ck_assert_str_eq(status_of("CapPrm"), "0000000000000004");
	ck_assert_str_eq(status_of("CapEff"), "0000000000000004");
	ck_assert_str_eq(status_of("CapInh"), "0000000000000000");
	ck_assert_str_eq(status_of("CapBnd"), "0000000000000000");
	ck_assert_str_eq(status_of("CapAmb"), "0000000000000000");
}
END_TEST

START_TEST(read_search_reads_what_others_may_not_and_writes_nothing)
{
	become(PRIVILEGES_READ_SEARCH);
	ck_assert_int_eq(eaccess("/etc/shadow", R_OK), 0);
	ck_assert_int_eq(eaccess("/etc/shadow", W_OK), -1);
}
END_TEST

/* Each is what a process that is made to run a stranger's code would try: by CALL, so
 * that nothing of the C library comes between. */
static long
call_outside(int which, pid_t other)
{
	static const struct rlimit none;
	static const uint64_t how[3] = {O_RDWR};
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int ends[2];

	switch (which) {
	case 0:
		return syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
	case 1:
		return syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, ends);
	case 2:
		return syscall(SYS_connect, STDIN_FILENO, &to, sizeof to);
	case 3:
		return syscall(SYS_openat, AT_FDCWD, "/dev/null", O_WRONLY, 0);
	case 4:
		return syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_PATH, 0);
	case 5:
		return syscall(SYS_openat, AT_FDCWD, "/tmp", O_TMPFILE | O_RDONLY, 0600);
	case 6:
		return syscall(SYS_openat2, AT_FDCWD, "/dev/null", how, sizeof how);
	case 7:
		return syscall(SYS_unlinkat, AT_FDCWD, "/tmp/none", 0);
	case 8:
		return syscall(SYS_kill, other, 0);
	case 9:
		return syscall(SYS_tgkill, other, other, 0);
	case 10:
		return syscall(SYS_ptrace, PTRACE_SEIZE, other, NULL, NULL);
	case 11:
		return syscall(SYS_prlimit64, other, RLIMIT_NOFILE, &none, NULL);
	case 12:
		return syscall(SYS_setpriority, PRIO_PROCESS, other, 19);
	case 13:
		return syscall(SYS_fcntl, STDIN_FILENO, F_SETOWN, other);
	case 14:
		return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	case 15:
		return syscall(SYS_execve, "/bin/true", NULL, NULL);
	case 16:
		return syscall(SYS_pidfd_open, other, 0);
	case 17:
		return syscall(SYS_process_vm_readv, other, NULL, 0, NULL, 0, 0);
	case 18:
		return syscall(SYS_io_uring_setup, 1, NULL);
	case 19:
		return syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
	default:
		return 0;
	}
}

START_TEST(a_process_that_only_reads_can_do_nothing_else)
{
	pid_t other = getpid(), child;
	struct reason why;
	int status, tried = 0;

	become(PRIVILEGES_READ_SEARCH);
	child = fork();
	if (child == 0) {
		if (privileges_only_read(&why) == -1)
			_exit(100);
		while (call_outside(tried, other) == -1 &&
			(errno == ENOSYS || errno == EPERM))
			tried++;
		_exit(tried);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 20);
}
END_TEST

START_TEST(a_process_that_only_reads_can_read)
{
	struct reason why;
	char byte;
	int fd;

	become(PRIVILEGES_READ_SEARCH);
	ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
	if (fork() == 0) {
		if (privileges_only_read(&why) == -1)
			_exit(1);
		fd = open("/etc/shadow", O_RDONLY | O_CLOEXEC);
		_exit(fd != -1 && read(fd, &byte, 1) == 1 && close(fd) == 0 ? 0 : 2);
	}
	wait(&fd);
	ck_assert_int_eq(fd, 0);
}
END_TEST

START_TEST(a_spawner_keeps_the_two_that_it_asks_for_and_no_way_to_more)
{
	become(PRIVILEGES_SETUID | PRIVILEGES_SETGID);
	ck_assert_str_eq(status_of("Uid"), "1\t1\t1\t1");
	ck_assert_str_eq(status_of("Gid"), "1\t1\t1\t1");
	ck_assert_str_eq(status_of("Groups"), "");
	ck_assert_str_eq(status_of("CapPrm"), "00000000000000c0");
	ck_assert_str_eq(status_of("CapEff"), "00000000000000c0");
	ck_assert_str_eq(status_of("CapBnd"), "0000000000000000");
	ck_assert_int_eq(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0), -1);
	/* as root's uid it would have no more: SECBIT_NOROOT */
	ck_assert_int_eq(setresgid(20001, 20001, 20001), 0);
	ck_assert_int_eq(setresuid(0, 0, 0), 0);
	ck_assert_str_eq(status_of("CapPrm"), "00000000000000c0");
}
END_TEST

START_TEST(a_kept_capability_does_not_stand_for_the_other)
{
	become(PRIVILEGES_SETGID);
	ck_assert_str_eq(status_of("CapEff"), "0000000000000040");
	ck_assert_int_eq(setresuid(20001, 20001, 20001), -1);
	ck_assert_int_eq(setresgid(20001, 20001, 20001), 0);
}
END_TEST

START_TEST(the_last_capability_can_be_given_up)
{
	struct reason why;

	become(PRIVILEGES_READ_SEARCH);
	ck_assert_int_eq(privileges_drop_all(&why), 0);
	ck_assert_str_eq(status_of("CapPrm"), "0000000000000000");
	ck_assert_str_eq(status_of("CapEff"), "0000000000000000");
}
END_TEST

START_TEST(root_can_not_be_regained)
{
	become(0);
	ck_assert_int_eq(setresuid(0, 0, 0), -1);
	ck_assert_int_eq(setresgid(0, 0, 0), -1);
	ck_assert_int_eq(seteuid(0), -1);
	ck_assert_int_eq(setgroups(1, (const gid_t[]){0}), -1);
	ck_assert_int_eq(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0), -1);
}
END_TEST

/* A set-uid program gives nothing either: no_new_privs, and an empty bounding set. Its
 * name is gone before it is run, since nobody could remove it afterwards. */
START_TEST(no_program_gives_anything_back)
{
	char path[] = "/tmp/test_privileges.XXXXXX", command[200];
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	close(fd);
	snprintf(command, sizeof command, "cp /usr/bin/id %s && chmod 4755 %s", path,
		path);
	ck_assert_int_eq(system(command), 0);
	fd = open(path, O_RDONLY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(unlink(path), 0);
	become(0);
	snprintf(command, sizeof command, "test \"$(/proc/self/fd/%d -u)\" = 1", fd);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

/* As brim-release, which runs Postfix's setgid postqueue. */
START_TEST(who_runs_setgid_programs_has_nothing_but_that)
{
	char path[] = "/tmp/test_privileges.XXXXXX", command[200];
	int fd = mkstemp(path);
	struct reason why;

	ck_assert_int_ge(fd, 0);
	close(fd);
	snprintf(command, sizeof command, "cp /bin/cat %s && chgrp 7 %s && chmod 6755 %s",
		path, path, path);
	ck_assert_int_eq(system(command), 0);
	fd = open(path, O_RDONLY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(setgroups(2, (const gid_t[]){4, 5}), 0);
	ck_assert_msg(
		privileges_become_for_setgid(&daemon_user, &why) == 0, "%s", why.text);
	ck_assert_str_eq(status_of("Uid"), "1\t1\t1\t1");
	ck_assert_str_eq(status_of("Groups"), "");
	ck_assert_str_eq(status_of("CapBnd"), "0000000000000000");
	ck_assert_str_eq(status_of("CapPrm"), "0000000000000000");
	ck_assert_int_eq(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0), -1);
	snprintf(command, sizeof command,
		"/proc/self/fd/%d /proc/self/status | awk '"
		"/^Gid/ { gid = $3 } /^CapPrm/ { caps = $2 } "
		"END { exit !(gid == 7 && caps == \"0000000000000000\") }'",
		fd);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

static void
be_root_without(cap_value_t cap)
{
	cap_t set = cap_get_proc();

	ck_assert_ptr_nonnull(set);
	ck_assert_int_eq(cap_set_flag(set, CAP_PERMITTED, 1, &cap, CAP_CLEAR), 0);
	ck_assert_int_eq(cap_set_flag(set, CAP_EFFECTIVE, 1, &cap, CAP_CLEAR), 0);
	ck_assert_int_eq(cap_set_proc(set), 0);
	cap_free(set);
}

START_TEST(who_can_not_run_setgid_programs_is_told_why)
{
	struct reason why;

	if (_i == 0)
		ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	else
		be_root_without(CAP_SETPCAP);
	ck_assert_int_eq(privileges_become_for_setgid(&daemon_user, &why), -1);
	ck_assert_ptr_nonnull(
		strstr(why.text, _i == 0 ? "NoNewPrivileges=" : "give it CAP_SETPCAP"));
	ck_assert_uint_eq(getuid(), 0);
}
END_TEST

START_TEST(root_is_refused_as_the_user)
{
	const struct privileges_user refused[] = {
		{0, 1}, {1, 0}, {(uid_t)-1, 1}, {1, (gid_t)-1}};
	struct reason why;

	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		ck_assert_int_eq(privileges_become(&refused[i], 0, &why), -1);
	ck_assert_uint_eq(getuid(), 0);
}
END_TEST

START_TEST(an_ordinary_user_can_become_nobody_else)
{
	struct reason why;

	ck_assert_int_eq(setresuid(7, 7, 7), 0);
	ck_assert_int_eq(privileges_become(&daemon_user, 0, &why), -1);
	ck_assert_int_eq(privileges_drop_all(&why), 0);
}
END_TEST

START_TEST(users_are_found_in_passwd)
{
	struct privileges_user user;
	uid_t uid = 0;
	struct reason why;

	ck_assert_int_eq(privileges_find_user("daemon", &user, &why), 0);
	ck_assert_uint_eq(user.uid, 1);
	ck_assert_uint_eq(user.gid, 1);
	ck_assert_int_eq(privileges_find_user("nobody-of-that-name", &user, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "nobody-of-that-name"));
	ck_assert_int_eq(privileges_find_user("root", &user, &why), -1);
	ck_assert_int_eq(privileges_find_uid("daemon", &uid, &why), 1);
	ck_assert_uint_eq(uid, 1);
	ck_assert_int_eq(privileges_find_uid("nobody-of-that-name", &uid, &why), 0);
}
END_TEST

/* Puts another file in the place of /etc/passwd, for this process alone. */
static void
have_passwd(const char *text)
{
	char path[] = "/tmp/brim-passwd-XXXXXX";
	int file = mkstemp(path);

	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
	close(file);
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount(path, "/etc/passwd", NULL, MS_BIND, NULL), 0);
	ck_assert_int_eq(unlink(path), 0);
}

/* A description of 9,000 bytes in which each place could be the beginning of an entry. */
START_TEST(odd_lines_of_passwd_are_nobodys)
{
	static const char entry[] = "daemon:x:0:0:";
	static char text[16384];
	char *to = stpcpy(text, "\n#daemon:x:7:7::/:\n:\n\ndaemon\ndaemon:x\ndaemon:x:7\n"
				"daemon:x::7::/:\ndaemon:x:7:-7::/:\nlong:x:5:5:");
	struct privileges_user user;
	struct reason why;
	uid_t uid;

	for (int i = 0; i < 700; i++)
		to = stpcpy(to, entry);
	stpcpy(to, ":/:/bin/sh\nsmall:x:4294967295:1::/:\n"
		   "dae:x:1:1::/:\ndaemon:x:12:34::/:/bin/sh\nlast:x:56:78::/:");
	have_passwd(text);
	ck_assert_int_eq(privileges_find_user("daemon", &user, &why), 0);
	ck_assert_uint_eq(user.uid, 12);
	ck_assert_uint_eq(user.gid, 34);
	ck_assert_int_eq(privileges_find_uid("last", &uid, &why), 1);
	ck_assert_uint_eq(uid, 56);
	ck_assert_int_eq(privileges_find_uid("small", &uid, &why), 0);
	ck_assert_int_eq(privileges_find_uid("", &uid, &why), 0);
}
END_TEST

/* --- from a user with capabilities to a recipient --------------------------------- */

static const struct privileges_user recipient = {20001, 20002};

/* What lda-virtual is when it starts. */
static void
be_a_user_with(size_t count, const cap_value_t *caps)
{
	cap_t set = cap_init();

	ck_assert_ptr_nonnull(set);
	ck_assert_int_eq(cap_set_flag(set, CAP_PERMITTED, (int)count, caps, CAP_SET), 0);
	ck_assert_int_eq(cap_set_flag(set, CAP_EFFECTIVE, (int)count, caps, CAP_SET), 0);
	ck_assert_int_eq(setgroups(2, (const gid_t[]){4, 5}), 0);
	ck_assert_int_eq(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(setresgid(7, 7, 7), 0);
	ck_assert_int_eq(setresuid(7, 7, 7), 0);
	ck_assert_int_eq(cap_set_proc(set), 0);
	cap_free(set);
}

START_TEST(a_recipient_is_become_with_two_capabilities_and_none_is_left)
{
	struct reason why;

	be_a_user_with(2, (const cap_value_t[]){CAP_SETUID, CAP_SETGID});
	ck_assert_int_eq(privileges_may_become(&recipient, &why), 0);
	ck_assert_msg(privileges_become_recipient(&recipient, &why) == 0, "%s", why.text);
	ck_assert_str_eq(status_of("Uid"), "20001\t20001\t20001\t20001");
	ck_assert_str_eq(status_of("Gid"), "20002\t20002\t20002\t20002");
	ck_assert_str_eq(status_of("Groups"), "");
	ck_assert_str_eq(status_of("CapPrm"), "0000000000000000");
	ck_assert_str_eq(status_of("CapEff"), "0000000000000000");
	ck_assert_str_eq(status_of("CapInh"), "0000000000000000");
	ck_assert_str_eq(status_of("NoNewPrivs"), "1");
	ck_assert_int_eq(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
	ck_assert_int_eq(setresuid(7, 7, 7), -1);
	ck_assert_int_eq(setresgid(7, 7, 7), -1);
	ck_assert_int_eq(setresuid(0, 0, 0), -1);
}
END_TEST

START_TEST(a_recipient_of_the_same_ids_is_no_way_back)
{
	const struct privileges_user same = {7, 7};
	struct reason why;

	be_a_user_with(2, (const cap_value_t[]){CAP_SETUID, CAP_SETGID});
	ck_assert_msg(privileges_become_recipient(&same, &why) == 0, "%s", why.text);
}
END_TEST

START_TEST(with_setpcap_the_bounding_set_is_emptied)
{
	struct reason why;

	be_a_user_with(3, (const cap_value_t[]){CAP_SETUID, CAP_SETGID, CAP_SETPCAP});
	ck_assert_msg(privileges_become_recipient(&recipient, &why) == 0, "%s", why.text);
	ck_assert_str_eq(status_of("CapBnd"), "0000000000000000");
	ck_assert_str_eq(status_of("CapPrm"), "0000000000000000");
}
END_TEST

START_TEST(neither_root_nor_nobody_is_a_recipient)
{
	const struct privileges_user refused[] = {{0, 20001}, {20001, 0}, {65534, 20001},
		{20001, 65534}, {(uid_t)-1, 20001}, {20001, (gid_t)-1}};
	struct reason why;

	be_a_user_with(2, (const cap_value_t[]){CAP_SETUID, CAP_SETGID});
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		ck_assert_int_eq(privileges_may_become(&refused[i], &why), -1);
		ck_assert_int_eq(privileges_become_recipient(&refused[i], &why), -1);
	}
	ck_assert_uint_eq(getuid(), 7);
	ck_assert_uint_eq(getgid(), 7);
}
END_TEST

START_TEST(root_and_users_without_both_capabilities_become_no_recipient)
{
	const cap_value_t one = _i == 0 ? CAP_SETUID : CAP_SETGID;
	struct reason why;

	ck_assert_int_eq(privileges_may_become(&recipient, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "as root"));
	be_a_user_with(1, &one);
	ck_assert_int_eq(privileges_may_become(&recipient, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "without its capabilities"));
	ck_assert_int_eq(privileges_become_recipient(&recipient, &why), -1);
}
END_TEST

/* --- pretended success ------------------------------------------------------------ */

static const char *const pretended[] = {"setresuid", "setresgid", "setgroups", "capset",
	"setresuid,setresgid,setgroups,capset"};

static char own_path[4096];

START_TEST(pretended_success_is_noticed)
{
	char command[5000];
	int status;

	snprintf(command, sizeof command,
		"ASAN_OPTIONS=detect_leaks=0 strace -f -o /dev/null -e trace=%s -e "
		"inject=%s:retval=0 %s become",
		pretended[_i], pretended[_i], own_path);
	ck_assert_int_eq(setgroups(2, (const gid_t[]){4, 5}), 0);
	status = system(command);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == NOTICED,
		"%s: status %d", pretended[_i], status);
}
END_TEST

static int
become_and_tell(void)
{
	struct reason why;

	return privileges_become(&daemon_user, 0, &why) == -1 ? NOTICED : 0;
}

int
run_command(int argc, char **argv)
{
	return argc > 1 && strcmp(argv[1], "become") == 0 ? become_and_tell() : -1;
}

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {the_daemon_has_no_group_and_no_capability_left,
		the_scanner_keeps_read_search_alone,
		read_search_reads_what_others_may_not_and_writes_nothing,
		a_process_that_only_reads_can_do_nothing_else,
		a_process_that_only_reads_can_read,
		a_spawner_keeps_the_two_that_it_asks_for_and_no_way_to_more,
		a_kept_capability_does_not_stand_for_the_other,
		the_last_capability_can_be_given_up, root_can_not_be_regained,
		no_program_gives_anything_back,
		who_runs_setgid_programs_has_nothing_but_that,
		root_is_refused_as_the_user, an_ordinary_user_can_become_nobody_else,
		users_are_found_in_passwd, odd_lines_of_passwd_are_nobodys,
		a_recipient_is_become_with_two_capabilities_and_none_is_left,
		a_recipient_of_the_same_ids_is_no_way_back,
		with_setpcap_the_bounding_set_is_emptied,
		neither_root_nor_nobody_is_a_recipient};
	TCase *c = ADD_CASE(suite, tests, .timeout = 20);

	if (readlink("/proc/self/exe", own_path, sizeof own_path - 1) == -1)
		abort();
	tcase_add_loop_test(
		c, pretended_success_is_noticed, 0, sizeof pretended / sizeof *pretended);
	tcase_add_loop_test(c, who_can_not_run_setgid_programs_is_told_why, 0, 2);
	tcase_add_loop_test(
		c, root_and_users_without_both_capabilities_become_no_recipient, 0, 2);
}
