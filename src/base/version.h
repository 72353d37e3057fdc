/* What was built: "unknown" where the source is no git checkout. */
#pragma once

extern const char version_number[];
extern const char version_git_commit[];
extern const char version_git_tag[];
