/* Lines with their numbers. */
#include "input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void
begin_progress(struct input *in)
{
	struct stat st;

	if (fstat(fileno(in->file), &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
		in->total = (uint64_t)st.st_size;
	progress_begin(&in->progress, in->total, "reading");
}

/* 1 with the next line, 0 at the end, -1. */
static int
read_line(struct brimadm *a, struct input *in)
{
	ssize_t n;

	errno = 0;
	n = getline(&in->line, &in->size, in->file);
	if (n < 0 && (ferror(in->file) || errno)) /* a closed one, say, or no memory */
		return reason_errno(&a->why, "%s: read", in->name);
	if (n < 0)
		return 0;
	in->done += (uint64_t)n;
	progress_step(&in->progress, in->total ? in->done : in->number);
	in->cut_off = in->line[n - 1] != '\n';
	in->length = (size_t)n - !in->cut_off;
	in->line[in->length] = '\0';
	return 1;
}

#define MARK "\xEF\xBB\xBF" /* U+FEFF in UTF-8 */

int
input_trim(char *line, size_t *length, int first, struct reason *why)
{
	size_t mark = 0;

	if (first && *length >= 2 &&
		(memcmp(line, "\xFF\xFE", 2) == 0 || memcmp(line, "\xFE\xFF", 2) == 0))
		return reason_set(why, "it is UTF-16: save it as UTF-8");
	while (first && strncmp(line + mark, MARK, strlen(MARK)) == 0)
		mark += strlen(MARK);
	*length -= mark;
	memmove(line, line + mark, *length + 1);
	if (*length && line[*length - 1] == '\r')
		line[--*length] = '\0';
	if (first && memchr(line, '\r', *length))
		return reason_set(why, "its lines end in CR alone: tr '\\r' '\\n' gives "
				       "them the end that is read");
	return 0;
}

int
input_open(struct brimadm *a, struct input *in, int argc, char **argv)
{
	int named = argc && strcmp(argv[0], "-") != 0;

	*in = (struct input){.name = named ? argv[0] : "standard input"};
	in->file = named ? fopen(argv[0], "re") : stdin;
	in->ahead = INPUT_NOTHING;
	if (!in->file) {
		reason_errno(&a->why, "%s", in->name);
		return TOOL_CANT;
	}
	begin_progress(in);
	in->ahead = read_line(a, in);
	if (in->ahead > 0 && input_trim(in->line, &in->length, 1, &a->why)) {
		in->number = 1;
		return input_fault(a, in, TOOL_USAGE);
	}
	return in->ahead < 0 ? TOOL_CANT : TOOL_OK;
}

void
input_close(struct input *in)
{
	progress_end(&in->progress);
	if (in->file && in->file != stdin)
		fclose(in->file);
	free(in->line);
}

int
input_next(struct brimadm *a, struct input *in)
{
	int more = in->ahead;

	in->ahead = INPUT_NOTHING;
	if (more == INPUT_NOTHING) {
		more = read_line(a, in);
		if (more > 0)
			input_trim(in->line, &in->length, 0, NULL);
	}
	in->number += more > 0;
	return more;
}

/* Puts file and line in front of the reason. */
int
input_fault(struct brimadm *a, const struct input *in, int status)
{
	struct reason fault = a->why;

	return brimadm_refuse(a, (enum tool_status)status, "%s:%lu: %s", in->name,
		in->number, fault.text);
}

int
input_check_paths(struct brimadm *a, struct input *in)
{
	int status = brimadm_status(change_check_paths(a->change, &in->number, &a->why));

	return status ? input_fault(a, in, status) : TOOL_OK;
}
