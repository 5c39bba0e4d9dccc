/* Reasons for an administrator: bounded, printable, with errno where it says something.
 */
#include "reason.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void
make_printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

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
	make_printable(why->text);
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
