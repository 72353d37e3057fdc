/* `vprox flows`: writes down which connections of tunnels have ended, and whose they were. */
#pragma once

/* Returns the exit status. */
int flows_main(void);
