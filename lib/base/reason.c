/* Reasons for an administrator: bounded, printable, with errno where it says something.
 */
#include "reason.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "amount.h"
#include "printable.h"

/* The GNU C library's strerror() is not for a library: threads share its text. */
#ifndef __GLIBC__
#define strerrordesc_np strerror
#endif

static void write_reason(struct reason *why, const char *format, va_list args, int error)
	__attribute__((format(printf, 2, 0)));

static void
write_reason(struct reason *why, const char *format, va_list args, int error)
{
	int n = vsnprintf(why->text, sizeof why->text, format, args);

	if (error && n >= 0 && (size_t)n < sizeof why->text)
		snprintf(why->text + n, sizeof why->text - (size_t)n, ": %s",
			strerrordesc_np(error) ? strerrordesc_np(error)
					       : "unknown error");
	printable_text(why->text);
}

int
reason_set(struct reason *why, const char *format, ...)
{
	int error = errno;
	va_list args;

	va_start(args, format);
	if (why)
		write_reason(why, format, args, 0);
	va_end(args);
	errno = error;
	return -1;
}

int
reason_errno(struct reason *why, const char *format, ...)
{
	int error = errno;
	va_list args;

	va_start(args, format);
	if (why)
		write_reason(why, format, args, error);
	va_end(args);
	errno = error;
	return -1;
}

int
reason_no_memory(struct reason *why, const char *what)
{
	static const struct {
		int resource;
		const char *name;
	} limits[] = {{RLIMIT_AS, "RLIMIT_AS"}, {RLIMIT_DATA, "RLIMIT_DATA"}};
	char shown[AMOUNT_SIZE];
	struct rlimit r;

	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
		if (getrlimit(limits[i].resource, &r) == 0 && r.rlim_cur != RLIM_INFINITY)
			return reason_set(why, "%.200s: " REASON_NO_MEMORY ": %s is %s",
				what, limits[i].name, amount_show(r.rlim_cur, shown));
	return reason_set(why, "%.200s: " REASON_NO_MEMORY, what);
}

int
reason_is_no_memory(const struct reason *why)
{
	return strstr(why->text, REASON_NO_MEMORY) != NULL;
}
