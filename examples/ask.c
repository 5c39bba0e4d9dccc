/*
 * Prints how much of its limit a mailbox uses, in bytes.
 *
 *	cc -o ask ask.c $(pkg-config --cflags --libs libbrim)
 *	./ask alice@example.org
 */
#include <brim/brim.h>

#include <inttypes.h>
#include <stdio.h>

/* ask ADDRESS [SOCKET [DAEMON_USER]] */
int
main(int argc, char **argv)
{
	const char *socket = argc > 2 ? argv[2] : NULL, *user = argc > 3 ? argv[3] : NULL;
	const struct brim_mailbox *mailbox;
	enum brim_result result;
	struct brim *quotad;

	if (argc < 2)
		return fprintf(stderr, "usage: ask ADDRESS\n"), 64;
	if ((result = brim_connect(&quotad, socket, user, 10)) == BRIM_OK)
		result = brim_ask(quotad, argv[1], &mailbox);
	if (result == BRIM_OK)
		printf("%" PRIu64 " of %" PRIu64 "\n", brim_get(mailbox, BRIM_USED, 0),
			brim_get(mailbox, BRIM_LIMIT, 0));
	else
		fprintf(stderr, "%s\n", brim_error(quotad));
	brim_close(&quotad);
	return result == BRIM_OK ? 0 : result == BRIM_LATER ? 75 : 1;
}
