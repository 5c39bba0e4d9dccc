/* Labels of internationalized domain names as ASCII (RFC 3492, RFC 5891). */
#ifndef BRIM_PUNYCODE_H
#define BRIM_PUNYCODE_H

#include <stddef.h>
#include <stdint.h>

#define LABEL_MAX 63 /* RFC 1035 section 2.3.4 */

/* Writes the A-label ("xn--...") of so many characters into TO, a string of LABEL_MAX + 1
 * bytes: its length, or -1 where it would be longer. Maps and checks nothing. */
int punycode_label(char *to, const uint32_t *codes, size_t count);

#endif
