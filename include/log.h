/*
 * Log lines for syslog (facility mail) or standard error. A line is one event: words,
 * then name=value. With a missing /dev/log, or one that stays full, the line is dropped:
 * mail must not wait for a log (as syslog(3) would).
 *
 * A daemon bounds its rate: what users can cause must not fill a disk. Lines with one
 * format are one kind. Threads may not log at once.
 */
#ifndef BRIM_LOG_H
#define BRIM_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO };

/* IDENT is kept, not copied. Without this call nothing is logged anywhere. */
void log_open_syslog(const char *ident);
/* From now on a line waits for the log daemon where that is behind, up to so long: the
 * kernel keeps ten lines for it. Without this call nothing waits. */
void log_wait(unsigned ms);
/* Where nobody listens at /dev/log (a container), lines go to standard error. */
void log_open_syslog_or_stderr(const char *ident);
void log_open_stderr(const char *ident);

/* From now on at most so many lines of a kind are logged between two calls of
 * log_next_second; what is beyond them is left out and counted. */
void log_bound_rate(unsigned lines);
/* To be called once a second, and at the end: one line for each kind of which lines were
 * left out says how many, and all may be logged again. */
void log_next_second(void);

/* One line; control and 8-bit bytes are written as '?'. Keeps errno. */
void log_line(enum log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)

#endif
