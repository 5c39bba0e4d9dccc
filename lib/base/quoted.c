#include "quoted.h"

int
quoted_take(char *to, const char *local, size_t length)
{
	if (length < 2 || local[0] != '"' || local[length - 1] != '"')
		return -1;
	for (size_t i = 1; i < length - 1; i++) {
		if (local[i] == '"')
			return -1;
		if (local[i] == '\\' && ++i == length - 1)
			return -1; /* the last quote is one of the content */
		*to++ = local[i];
	}
	*to = '\0';
	return 0;
}
