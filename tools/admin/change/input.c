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

int
input_open(struct brimadm *a, struct input *in, int argc, char **argv)
{
	int named = argc && strcmp(argv[0], "-") != 0;

	*in = (struct input){.name = named ? argv[0] : "standard input"};
	in->file = named ? fopen(argv[0], "re") : stdin;
	if (in->file) {
		begin_progress(in);
		return TOOL_OK;
	}
	reason_errno(&a->why, "%s", in->name);
	return TOOL_CANT;
}

void
input_close(struct input *in)
{
	progress_end(&in->progress);
	if (in->file && in->file != stdin)
		fclose(in->file);
	free(in->line);
}

/* 1 with the next line, 0 at the end, -1. */
int
input_next(struct brimadm *a, struct input *in)
{
	ssize_t n;

	errno = 0;
	n = getline(&in->line, &in->size, in->file);
	if (n < 0 && (ferror(in->file) || errno)) /* a closed one, say, or no memory */
		return reason_errno(&a->why, "%s: read", in->name);
	if (n < 0)
		return 0;
	in->number++;
	in->done += (uint64_t)n;
	progress_step(&in->progress, in->total ? in->done : in->number);
	in->cut_off = in->line[n - 1] != '\n';
	in->length = (size_t)n - !in->cut_off;
	in->line[in->length] = '\0';
	return 1;
}

/* Puts file and line in front of the reason. */
int
input_fault(struct brimadm *a, const struct input *in, int status)
{
	struct reason fault = a->why;

	return brimadm_refuse(a, (enum tool_status)status, "%s:%lu: %s", in->name,
		in->number, fault.text);
}
