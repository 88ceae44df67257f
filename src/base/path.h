/* path.h - what a path leads to. */
#ifndef BASE_PATH_H
#define BASE_PATH_H

typedef enum path_kind {
  PATH_NOTHING, /* or nothing that we may see */
  PATH_FOLDER,
  PATH_FILE /* or anything else that is no folder */
} path_kind;

path_kind path_kind_of(const char *path);

#endif
