/* path.c - what a path leads to. */
#include "base/path.h"

#include <sys/stat.h>

path_kind path_kind_of(const char *path)
{
  struct stat about;
  if (stat(path, &about) != 0)
    return PATH_NOTHING;
  return S_ISDIR(about.st_mode) ? PATH_FOLDER : PATH_FILE;
}
