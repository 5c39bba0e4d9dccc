/* For libFuzzer: an input is now and then one of the seeds, and else what libFuzzer makes
 * of one that it has. */
#include "fuzz.h"

#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	size_t count = 0, length;

	while (fuzz_seeds[count] != NULL)
		count++;
	if (seed % 64 != 0)
		return LLVMFuzzerMutate(data, size, max);
	length = strlen(fuzz_seeds[seed / 64 % count]);
	length = length < max ? length : max;
	memcpy(data, fuzz_seeds[seed / 64 % count], length);
	return LLVMFuzzerMutate(data, length, max);
}
