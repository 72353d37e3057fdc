/* The version as the build has it: constants only. */
#include "base/version.h"

#include "git_commit.h"
#include "git_tag.h"

const char version_number[] = VPROX_VERSION;
const char version_git_commit[] = VPROX_GIT_COMMIT;
const char version_git_tag[] = VPROX_GIT_TAG;
