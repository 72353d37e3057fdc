/* A program that is nothing but the gate, or a signer if it is called with that argument, for the
 * tests of them. */
#include <string.h>

#include "gate/gate.h"
#include "signer/signer.h"

int main(int argc, char **argv)
{
	return argc > 1 && strcmp(argv[1], "signer") == 0 ? signer_main() : gate_main();
}
