/*
 * The Received: lines of a message, which strangers write. The first byte of an input
 * says whether the rest is a whole message, or how one begins.
 *
 * Promised are: at most eight ids of the form that quotad takes, with commas between; and
 * that each of them is in the message behind the word id.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "lda/delivery/received.h"
#include "mailbox.h"

const char *const fuzz_seeds[] = {
	"0Received: from a.test (a.test [192.0.2.1])\n\tby mx.test (Postfix) with ESMTP "
	"id "
	"4bXyZ0123zabc\n\tfor <alice@host.test>; Fri, 27 Nov 2026 04:40:10 +0000 (UTC)\n"
	"Received: by mx.test (Postfix, from userid 0) id A1; Fri\nSubject: x\n\nx\n",
	"1Received: from x by host.test with esmtp (Exim 4.96) (envelope-from "
	"<a@b>)\n\tid "
	"1vOoHp-0001Xy-2a\n\tfor a@b;\nReceived: from x by y id z;\n\n",
	"2Received: from \"x by (\\\"\" (a (b \\) by c) id d) by HOST.test (c) id "
	"(d)A1(e);\r\n"
	"Received: (from root@localhost)\r\n\tby host.test (8.17/Submit) id A2;\r\n\r\n",
	"3Received: by m id 1;\nReceived: by m id 2;\nReceived: by m id 3;\nReceived: by "
	"m id 4;\n"
	"Received: by m id 5;\nReceived: by m id 6;\nReceived: by m id 7;\nReceived: by "
	"m id 8;\n"
	"Received: by m id 9;\n\n",
	NULL,
};

int
mailbox_domain_is_local(const struct conf *c, const char *domain)
{
	(void)c;
	fuzz_promise(
		domain[0] != '\0' && domain[0] != '[', "a name is asked about", domain);
	return strcmp(domain, "host.test") == 0;
}

/* One of them: where it is in the message, a word that is id is before it. */
static void
check_id(const char *id, size_t length, const uint8_t *data, size_t size)
{
	const uint8_t *at = data, *found, *end = data + size;

	fuzz_promise(length > 0 && length <= RECEIVED_ID_MAX &&
			     strspn(id, "0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					"abcdefghijklmnopqrstuvwxyz") >= length,
		"an id has its form", id);
	while ((found = memmem(at, (size_t)(end - at), id, length)) != NULL) {
		if (memmem(data, (size_t)(found - data), "id", 2) ||
			memmem(data, (size_t)(found - data), "ID", 2) ||
			memmem(data, (size_t)(found - data), "iD", 2) ||
			memmem(data, (size_t)(found - data), "Id", 2))
			return;
		at = found + 1;
	}
	fuzz_promise(0, "an id is one of the message", id);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char no_domains[] = "";
	static const struct conf conf = {.local_domains = no_domains};
	char ids[RECEIVED_SIZE], *text = malloc(size + 1);
	size_t count = 0;

	memset(ids, '?', sizeof ids);
	memcpy(text, data, size);
	received_ids(ids, &conf, text + (size > 0), size - (size > 0),
		size > 0 && (text[0] & 1) == 0);
	fuzz_promise(memchr(ids, '\0', sizeof ids) != NULL, "the ids have an end", "");
	for (const char *id = ids; *id != '\0'; count++) {
		size_t length = strcspn(id, ",");

		check_id(id, length, data, size);
		fuzz_promise(id[length] == '\0' || id[length + 1] != '\0',
			"nothing is behind the last comma only", ids);
		id += length + (id[length] == ',');
	}
	fuzz_promise(count <= RECEIVED_IDS, "there are at most eight", ids);
	free(text);
	return 0;
}
