/* safetensors.h - lists the tensors of a .safetensors file. */
#ifndef FORMATS_SAFETENSORS_H
#define FORMATS_SAFETENSORS_H

#include "formats/tensors.h"

enum {
  /* Bytes of a file's header; the format allows 100,000,000, the published models need 14,000 to
   * 80,000. */
  SAFETENSORS_HEADER_LIMIT = 16 << 20
};

/* Opens the file `name` of the source, reads its header - never its data - and adds the file and
 * its tensors, in the order of their data. tensors_index is left to the caller, who may have
 * more files. After a failure `t` may hold a part: free it. */
gpt2_status safetensors_add(source *s, const char *name, tensors *t, gpt2_error *error);

#endif
