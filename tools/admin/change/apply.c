/* Many commands, one a line, as text or as JSON (apply_json.c), as one change. */
#include "input.h"

#include <stdlib.h>
#include <string.h>

/* Cuts the line into words, each decoded: their number, or -1. WORDS has room for as many
 * as the line has bytes. */
static int
cut(struct brimadm *a, char *line, char **words)
{
	int count = 0;

	for (char *word; (word = strsep(&line, " \t"));) {
		if (*word == '\0')
			continue;
		if (record_unescape(word))
			return reason_set(&a->why, "\"%.60s\" has a bad %%XX", word);
		words[count++] = word;
	}
	return count;
}

int
brimadm_apply_words(struct brimadm *a, int count, char **words)
{
	const struct command *c;

	if (count < 1 || !words[0] || words[0][0] == '#')
		return TOOL_OK;
	c = brimadm_command(a, words[0], count - 1);
	if (!c)
		return TOOL_USAGE;
	if (!(c->flags & COMMAND_CHANGES))
		return brimadm_refuse(
			a, TOOL_USAGE, "%s can't be applied from a file", c->name);
	return brimadm_run(a, c, count - 1, words + 1);
}

int
brimadm_apply_line(struct brimadm *a, char *line, size_t length)
{
	char **words;
	int count, status;

	if (strlen(line) != length)
		return brimadm_refuse(a, TOOL_USAGE, "a NUL byte");
	if (line[strspn(line, " \t")] == '{')
		return brimadm_apply_json(a, line, length);
	words = calloc(length + 1, sizeof *words);
	if (!words)
		return brimadm_refuse(a, TOOL_CANT, "no memory");
	count = cut(a, line, words);
	status = count < 0 ? TOOL_USAGE : brimadm_apply_words(a, count, words);
	free(words);
	return status;
}

int
brimadm_apply(struct brimadm *a, int argc, char **argv)
{
	struct input in;
	int more, status;

	if (a->option[OPTION_INTERVAL])
		return brimadm_stream(a, argc, argv);
	status = input_open(a, &in, argc, argv);
	a->shows_progress = 1;
	if (!status)
		status = brimadm_begin(a, CHANGE_PATHS_LATER);
	while (!status && (more = input_next(a, &in)) != 0) {
		change_at(a->change, in.number);
		status = more < 0 ? TOOL_CANT : brimadm_apply_line(a, in.line, in.length);
		if (status && more > 0)
			status = input_fault(a, &in, status);
	}
	if (!status)
		status = input_check_paths(a, &in);
	input_close(&in);
	return brimadm_end(a, status);
}
