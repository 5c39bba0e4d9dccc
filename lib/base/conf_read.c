/* brim.conf: physical lines into logical ones, these into names and values. */
#include "conf_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"

#define BLANKS " \t"
#define MARK   "\xEF\xBB\xBF"

/* A file that has grown since fstat would be cut within a line. */
static char *
read_whole(int fd, size_t expected, size_t *size)
{
	char *text = malloc(expected + 1);
	ssize_t n = 1;

	*size = 0;
	while (text && n > 0 && *size <= expected) {
		n = read(fd, text + *size, expected + 1 - *size);
		*size += n > 0 ? (size_t)n : 0;
	}
	if (text && n == 0) {
		text[*size] = '\0';
		return text;
	}
	if (n > 0 && text)
		errno = EAGAIN;
	free(text);
	return NULL;
}

int
conf_check_owner(const char *path, const struct stat *st, struct reason *why)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return reason_set(why, "%s belongs to uid %u, not to root: chown root %s",
			path, (unsigned)st->st_uid, path);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return reason_set(why,
			"%s can be changed by others (mode %04o): chmod go-w %s", path,
			(unsigned)st->st_mode & 07777, path);
	return 0;
}

char *
conf_read_file(const char *path, size_t *size, struct reason *why)
{
	/* a FIFO without a writer must not hold a delivery up */
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	char *text = NULL;
	struct stat st;

	if (fd < 0) {
		reason_errno(why, "%s can't be opened", path);
		return NULL;
	}
	if (fstat(fd, &st)) {
		reason_errno(why, "%s can't be read", path);
	} else if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		reason_set(why, "%s can't be read: it is not a regular file", path);
	} else if (conf_check_owner(path, &st, why)) {
		errno = EPERM;
	} else if (st.st_size > CONF_FILE_MAX) {
		errno = EFBIG;
		reason_set(why, "%s can't be read: it is larger than 1 MB", path);
	} else {
		text = read_whole(fd, (size_t)st.st_size, size);
		if (!text)
			reason_errno(why, "%s can't be read", path);
	}
	close(fd);
	return text;
}

struct reading {
	const char *file;
	const struct conf_reader *reader;
	struct reason *why;
	unsigned line;         /* the physical one */
	char *setting, *end;   /* the logical one so far; NULL before the first */
	unsigned setting_line; /* where it begins */
};

static int
refuse(const struct reading *r, unsigned line, const char *fault)
{
	return reason_set(r->why, "%s line %u: %s", r->file, line, fault);
}

/* An address such as [192.0.2.1] may continue a list. */
static int
is_section(const char *text)
{
	return *text == '[' && strcspn(text, ".:") >= strcspn(text, "]");
}

/* TEXT begins behind the line's blanks. */
static const char *
fault_of_line(const char *text)
{
	if (strchr(text, '\r'))
		return "a CR is in it: end lines with LF";
	if (*text == '#')
		return NULL;
	if (*text == ';')
		return "comments begin with #: write # for ;";
	if (is_section(text))
		return "sections are not used: take the line out";
	if (strstr(text, " ;") || strstr(text, "\t;"))
		return "\" ;\" begins no comment: write it as a line that begins with #";
	return NULL;
}

/* Whether it would be a setting if it were not indented. */
static size_t
setting_name(const struct reading *r, const char *text)
{
	size_t length = strcspn(text, "=:" BLANKS), blanks;

	blanks = strspn(text + length, BLANKS);
	if (text[length + blanks] != '=' && text[length + blanks] != ':')
		return 0;
	return r->reader->is_name(text, length) ? length : 0;
}

static int
continue_setting(struct reading *r, const char *line, size_t length)
{
	const char *text = line + strspn(line, BLANKS);
	size_t name = setting_name(r, text);

	if (!r->setting)
		return refuse(r, r->line,
			"a line that begins with a blank continues a setting, and there "
			"is none before it: take the blank out");
	if (name)
		return reason_set(r->why,
			"%s line %u: \"%.*s\" looks like a setting, but the blank before "
			"it continues line %u: take the blank out",
			r->file, r->line, (int)name, text, r->setting_line);
	memmove(r->end, line, length);
	r->end += length;
	return 0;
}

static int
finish_setting(struct reading *r)
{
	char *name = r->setting, *value;
	struct reason fault;
	size_t length;

	if (!name)
		return 0;
	*r->end = '\0';
	value = name + strcspn(name, "=:");
	for (length = (size_t)(value - name); length; length--)
		if (!strchr(BLANKS, name[length - 1]))
			break;
	if (*value == ':' && strcspn(name, BLANKS) >= length)
		return refuse(r, r->setting_line,
			"not \"name = value\": write = for the colon");
	if (*value != '=' || length == 0)
		return refuse(r, r->setting_line,
			length ? "not \"name = value\": the = is missing"
			       : "not \"name = value\": the name is missing");
	name[length] = '\0';
	value += 1 + strspn(value + 1, BLANKS);
	if (r->reader->take(r->reader->arg, r->setting_line, name, value, &fault))
		return refuse(r, r->setting_line, fault.text);
	return 0;
}

/* LINE ends in NUL. */
static int
take_line(struct reading *r, char *line, size_t length)
{
	const char *text, *fault;

	while (length && strchr(BLANKS "\r", line[length - 1]))
		line[--length] = '\0';
	text = line + strspn(line, BLANKS);
	fault = fault_of_line(text);
	if (fault)
		return refuse(r, r->line, fault);
	if (*text == '\0' || *text == '#')
		return 0;
	if (text > line)
		return continue_setting(r, line, length);
	if (finish_setting(r))
		return -1;
	r->setting = line;
	r->end = line + length;
	r->setting_line = r->line;
	return 0;
}

static int
check_bytes(struct reading *r, const char *text, size_t size)
{
	const char *nul = memchr(text, '\0', size);

	if (strncmp(text, MARK, strlen(MARK)) == 0)
		return refuse(
			r, 1, "it begins with a byte order mark of UTF-8: take that out");
	if (!nul)
		return 0;
	for (r->line = 1; (text = memchr(text, '\n', (size_t)(nul - text))); text++)
		r->line++;
	return refuse(r, r->line, "a NUL byte is in it: take that out");
}

int
conf_read_text(const char *file, char *text, size_t size,
	const struct conf_reader *reader, struct reason *why)
{
	struct reading r = {.file = file, .reader = reader, .why = why};

	if (check_bytes(&r, text, size))
		return -1;
	for (char *end = text + size, *next; text < end; text = next) {
		char *newline = memchr(text, '\n', (size_t)(end - text));

		next = newline ? newline + 1 : end;
		if (newline)
			*newline = '\0';
		r.line++;
		if (take_line(&r, text,
			    newline ? (size_t)(newline - text) : (size_t)(end - text)))
			return -1;
	}
	return finish_setting(&r);
}
