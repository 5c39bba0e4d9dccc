/*
 * A process that reads what strangers wrote: a filter of system calls (seccomp), since
 * the process may be made to run their code. It is a list of what may be called; any
 * other call fails as if the kernel did not know it, which the C library can live with.
 *
 * Of fcntl three commands are left: F_SETOWN and F_SETSIG would send signals to others.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "privileges.h"

#if defined __x86_64__ && defined __LP64__
#define ARCH AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define ARCH AUDIT_ARCH_AARCH64
#elif defined __riscv && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#elif defined __powerpc64__ && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCH AUDIT_ARCH_PPC64LE
#elif defined __s390x__
#define ARCH AUDIT_ARCH_S390X
#elif defined __loongarch__
#define ARCH AUDIT_ARCH_LOONGARCH64
#elif defined __i386__
#define ARCH AUDIT_ARCH_I386
#elif defined __arm__ && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCH AUDIT_ARCH_ARM
#elif defined __mips__ && defined __LP64__ && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCH AUDIT_ARCH_MIPSEL64
#else
/* cppcheck-suppress preprocessorErrorDirective */
#error "this architecture needs its AUDIT_ARCH_ here"
#endif

/* What opening a file to change it would take. */
#define WRITING ((O_TMPFILE & ~O_DIRECTORY) | O_ACCMODE | O_CREAT | O_TRUNC)

#ifdef SYS_fcntl64
#define CALL_FCNTL SYS_fcntl64
#else
#define CALL_FCNTL SYS_fcntl
#endif

static const int allowed[] = {
	SYS_read, SYS_write, SYS_pread64, SYS_lseek, SYS_close, SYS_close_range,
	SYS_getdents64, SYS_readlinkat, SYS_fstat, SYS_fstatfs, SYS_statx, SYS_statfs,
#ifdef SYS_newfstatat
	SYS_newfstatat,
#endif
#ifdef SYS_fstat64
	SYS_fstat64, SYS_fstatfs64, SYS_fstatat64, SYS_statfs64,
#endif
#ifdef SYS__llseek
	SYS__llseek,
#endif
	/* memory */
	SYS_brk, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise,
#ifdef SYS_mmap
	SYS_mmap,
#endif
#ifdef SYS_mmap2
	SYS_mmap2,
#endif
	/* time; an alarm is its own */
	SYS_setitimer, SYS_nanosleep, SYS_restart_syscall, SYS_clock_nanosleep,
	SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday,
#ifdef SYS_alarm
	SYS_alarm,
#endif
#ifdef SYS_clock_gettime64
	SYS_clock_gettime64, SYS_clock_getres_time64, SYS_clock_nanosleep_time64,
#endif
	/* what changes while it reads */
	SYS_inotify_init1, SYS_inotify_add_watch, SYS_inotify_rm_watch, SYS_ppoll,
#ifdef SYS_poll
	SYS_poll,
#endif
#ifdef SYS_ppoll_time64
	SYS_ppoll_time64,
#endif
	/* itself */
	SYS_getrusage, SYS_getrandom, SYS_sysinfo, SYS_futex, SYS_getpid, SYS_gettid,
	SYS_exit, SYS_exit_group,
#ifdef __SANITIZE_ADDRESS__
	SYS_sigaltstack, /* before each call that does not return */
#endif
};

#define ALLOWED (sizeof allowed / sizeof allowed[0])

/* The lower half of an argument, which is all that an int has. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARGUMENT(n) offsetof(struct seccomp_data, args[n])
#else
#define ARGUMENT(n) (offsetof(struct seccomp_data, args[n]) + sizeof(int))
#endif

#define LOAD(at)    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (at))
#define ALLOW       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define FAIL(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))
#define KILL        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

/* Where the value is not this one, as many of the next are skipped. */
#define IF_IS(value, skip)                                                               \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)(value), 0, (skip))
#define IF_HAS(bits, skip)                                                               \
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (unsigned int)(bits), 0, (skip))

/* Calls of another architecture (a 32-bit program's, say) have other numbers. */
static const struct sock_filter beginning[] = {
	LOAD(offsetof(struct seccomp_data, arch)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
	KILL,
	LOAD(offsetof(struct seccomp_data, nr)),
	IF_IS(SYS_openat, 4),
	LOAD(ARGUMENT(2)),
	IF_HAS(WRITING, 1),
	FAIL(EPERM),
	ALLOW,
	IF_IS(CALL_FCNTL, 8),
	LOAD(ARGUMENT(1)),
	IF_IS(F_GETFL, 1),
	ALLOW,
	IF_IS(F_SETFL, 1),
	ALLOW,
	IF_IS(F_SETFD, 1),
	ALLOW,
	FAIL(EPERM),
};

#define BEGINNING (sizeof beginning / sizeof beginning[0])

/* no_new_privs is what lets an ordinary user set a filter. */
static int
set_filter(struct sock_fprog *program, struct reason *why)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		return reason_errno(why, "no_new_privs");
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) == -1)
		return reason_errno(why, "seccomp");
	if (socket(AF_UNIX, SOCK_STREAM, 0) != -1 || errno != ENOSYS)
		return reason_set(why, "the filter of system calls does not hold");
	return 0;
}

int
privileges_only_read(struct reason *why)
{
	struct sock_filter filter[BEGINNING + 2 * ALLOWED + 1];
	struct sock_fprog program = {
		.len = sizeof filter / sizeof filter[0], .filter = filter};

	memcpy(filter, beginning, sizeof beginning);
	for (size_t i = 0; i < ALLOWED; i++) {
		filter[BEGINNING + 2 * i] = (struct sock_filter)IF_IS(allowed[i], 1);
		filter[BEGINNING + 2 * i + 1] = (struct sock_filter)ALLOW;
	}
	filter[BEGINNING + 2 * ALLOWED] = (struct sock_filter)FAIL(ENOSYS);
	return set_filter(&program, why);
}
