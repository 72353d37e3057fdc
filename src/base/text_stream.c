/* Ends texts that were written into memory. Any thread. */
#include "base/text_stream.h"

#include <stdlib.h>

char *text_stream_close(FILE *out, char **text)
{
	if (fclose(out) == 0)
		return *text;
	free(*text);
	*text = NULL;
	return NULL;
}
