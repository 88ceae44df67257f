/* temporary_folder.h - a folder on disk for the time of a test. */
#ifndef TESTS_SUPPORT_TEMPORARY_FOLDER_H
#define TESTS_SUPPORT_TEMPORARY_FOLDER_H

#include <stddef.h>

/* A new, empty folder. Its path is freed by remove_temporary_folder, which removes all that is in
 * it, too. What fails fails the test. */
char *new_temporary_folder(void);
void write_temporary_file(const char *folder, const char *name, const void *bytes, size_t size);
void remove_temporary_folder(char *folder);

#endif
