/* What a process inherits, set right. */
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "descriptors.h"
#include "emergency.h"
#include "limits.h"

struct delivery the_delivery;

static int
failed(struct outcome *o, const char *what)
{
	outcome_set(o, VERDICT_TROUBLE, "%s: %s", what, strerror(errno));
	return -1;
}

/* Makes the part read-only that the linker made for that (-z relro): constants with an
 * address in them, which nothing changes after the start. 0, or -1 with errno. */
static int
protect_constants(struct dl_phdr_info *program, size_t size, void *arg)
{
	const uintptr_t page = ~(uintptr_t)(getauxval(AT_PAGESZ) - 1);

	(void)size;
	(void)arg;
	for (size_t i = 0; i < program->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &program->dlpi_phdr[i];
		uintptr_t from = program->dlpi_addr + part->p_vaddr;
		uintptr_t end = (from + part->p_memsz) & page;

		from &= page;
		if (part->p_type == PT_GNU_RELRO &&
			mprotect((char *)from, end - from, PROT_READ))
			return -1;
	}
	return 0;
}

/* The GNU C library's start does it; musl's, of a static program, does not. */
#ifdef __GLIBC__
#define LEFT_WRITABLE 0
#else
#define LEFT_WRITABLE 1
#endif

/* Where one of the three was closed the C library of a program with capabilities opens
 * /dev/null before main: musl's to read and to write, which ends like a message. */
static int
is_stand_in(int fd)
{
	struct stat st;

	return getauxval(AT_SECURE) && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR &&
	       fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

/*
 * Keeps 0 and 1 alone. Where one of the three was closed, /dev/null takes its place, or
 * a mailbox would. So does it for standard error, open or not: the MTA reads that, too,
 * and a library that complains must not be taken for the verdict.
 */
static int
keep_streams(struct outcome *o)
{
	int null = open("/dev/null", O_RDWR);
	int no_input = null == STDIN_FILENO;

	while (null >= 0 && null <= STDERR_FILENO)
		null = open("/dev/null", O_RDWR);
	if (null < 0)
		return failed(o, "/dev/null can't be opened");
	if (dup2(null, STDERR_FILENO) < 0 || descriptors_close(STDERR_FILENO + 1, ~0U))
		return failed(o, "descriptors can't be closed");
	if (no_input || is_stand_in(STDIN_FILENO)) {
		outcome_set(o, VERDICT_TROUBLE, "standard input is closed: no message");
		return -1;
	}
	return 0;
}

int
start_clean(struct outcome *o)
{
	static const struct rlimit none = {0, 0};

	if (limits_check(o))
		return -1;
	if (emergency_install())
		return failed(o, "signals can't be set");
	if (LEFT_WRITABLE && dl_iterate_phdr(protect_constants, NULL))
		return failed(o, "constants can't be protected");
	umask(077);
	if (chdir("/"))
		return failed(o, "the root directory can't be entered");
	if (setrlimit(RLIMIT_CORE, &none))
		return failed(o, "core dumps can't be switched off");
	return keep_streams(o);
}
