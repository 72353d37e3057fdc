/* A program that is nothing but the gate, for the tests of it. */
#include "gate/gate.h"

int main(void)
{
	return gate_main();
}
