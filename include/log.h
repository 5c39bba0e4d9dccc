/*
 * Log lines for syslog (facility mail) or standard error. A line is one event: words,
 * then name=value. It never blocks: with a full or missing /dev/log the line is dropped,
 * since mail must not wait for a log (syslog(3) would).
 */
#ifndef BRIM_LOG_H
#define BRIM_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO };

/* IDENT is kept, not copied. Without this call nothing is logged anywhere. */
void log_open_syslog(const char *ident);
void log_open_stderr(const char *ident);

/* One line; control and 8-bit bytes are written as '?'. Keeps errno. */
void log_line(enum log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)

#endif
