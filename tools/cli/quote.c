/* A word in single quotes; what can't stand there is put between two quoted parts. */
#include "quote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
write_quoted(const char *word, FILE *to)
{
	fputc('\'', to);
	for (; *word; word++)
		if (*word == '\'')
			fputs("'\\''", to);
		else if ((*word < ' ' && *word != '\n') || *word > '~')
			fprintf(to, "'\"$(printf '\\%03o')\"'", (unsigned char)*word);
		else
			fputc(*word, to);
	fputc('\'', to);
}

char *
quote_word(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789@%_=+:,./-";
	char *quoted = NULL;
	size_t size;
	FILE *to;

	if (*word && word[strspn(word, plain)] == '\0')
		return strdup(word);
	to = open_memstream(&quoted, &size);
	if (!to)
		return NULL;
	write_quoted(word, to);
	if (fclose(to) == 0)
		return quoted;
	free(quoted);
	return NULL;
}
