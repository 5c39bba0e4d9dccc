/*
 * Why something could not be done, in words for an administrator.
 *
 * Made where the fault is known, passed up by whoever can't repair it, and logged or
 * printed once by the caller who decides. Never holds a line break or a control byte.
 */
#ifndef BRIM_REASON_H
#define BRIM_REASON_H

#define REASON_SIZE 320

#define REASON_NO_MEMORY "no memory"

struct reason {
	char text[REASON_SIZE];
};

/* Writes the reason, cut to fit and printable (printable_text); always returns -1,
 * so that a function can end in "return reason_set(why, ...)". WHY may be NULL. */
int reason_set(struct reason *why, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The same, with ": " and the text of errno behind. */
int reason_errno(struct reason *why, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* "WHAT: no memory", and behind it the limit of this process that stands against more of
 * it, where there is one: RLIMIT_AS or RLIMIT_DATA. */
int reason_no_memory(struct reason *why, const char *what);

/* Whether memory was short, as far as the reason tells. */
int reason_is_no_memory(const struct reason *why);

#endif
