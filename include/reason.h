/*
 * Why something could not be done, in words for an administrator.
 *
 * Made where the fault is known, passed up by whoever can't repair it, and logged or
 * printed once by the caller who decides. Never holds a line break or a control byte.
 */
#ifndef BRIM_REASON_H
#define BRIM_REASON_H

#define REASON_SIZE 320

struct reason {
	char text[REASON_SIZE];
};

/* Writes the reason, cut to fit and with unprintable bytes as '?'; always returns -1,
 * so that a function can end in "return reason_set(why, ...)". WHY may be NULL. */
int reason_set(struct reason *why, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The same, with ": " and the text of errno behind. */
int reason_errno(struct reason *why, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
