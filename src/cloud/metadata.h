/*
 * Which addresses this instance has, by the metadata service of EC2 (IMDSv2, of the User Guide for
 * Linux Instances): a token, which is sent with each question, and then the private addresses of
 * each interface, by its MAC. Asked every 5 s. An error changes nothing, and is logged when it
 * begins, when it changes and when it is over.
 */
#pragma once

/* Until the broker hangs up. Returns 0 or -errno. */
int metadata_serve(void);
