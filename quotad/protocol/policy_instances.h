/*
 * Recipients that were answered with a yes at RCPT, by the instance of their message:
 * where it has several, Postfix names none any more when it is there. Its smtpd processes
 * ask over connections of their own, which come and go, so the memory is everybody's.
 *
 * A recipient that is named twice is there once, and is counted: Postfix counts it twice,
 * and delivers to it once. A list of restrictions may have the service more than once;
 * how often is seen of the first recipient of the message, whose requests are those
 * before it has a queue id. Where it never gets one, behind a proxy, nothing is known of
 * that.
 *
 * It is bounded in messages and bytes, the oldest goes first, and what was added to last
 * an hour ago is forgotten. What is forgotten, or cut short, is unknown: nothing is
 * refused by half a list.
 */
#ifndef QUOTAD_POLICY_INSTANCES_H
#define QUOTAD_POLICY_INSTANCES_H

#include <stddef.h>
#include <stdint.h>

#define POLICY_INSTANCES_MAX   8192
#define POLICY_INSTANCES_BYTES (8 << 20)
#define POLICY_INSTANCE_BYTES  65536 /* of recipients, each */
#define POLICY_INSTANCE_NAME   256   /* bytes; Postfix's have 30, about */
#define POLICY_INSTANCE_MS     3600000

struct policy_instances;

/* NULL without memory. */
struct policy_instances *policy_instances_new(void);
void policy_instances_free(struct policy_instances **all);

/* Adds a recipient. IS_FIRST: the message has no queue id yet. */
void policy_instances_add(struct policy_instances *all, const char *instance,
	const char *recipient, int is_first, uint64_t now_ms);

/* The instance's recipients, each once and with a NUL at its end, and their number; NULL
 * where there are fewer than the message's, which counts those that it has twice, or they
 * are not all known. They stay until something is added or forgotten. */
const char *policy_instances_find(struct policy_instances *all, const char *instance,
	uint64_t of_message, size_t *count, uint64_t now_ms);

/* Its message is over. */
void policy_instances_forget(struct policy_instances *all, const char *instance);

/* Bytes that all take up. */
size_t policy_instances_bytes(const struct policy_instances *all);

#endif
