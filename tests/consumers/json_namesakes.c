/* json_namesakes.c - a program's functions that are called as those of jansson are: a library that
 * has a jansson of its own inside must neither call these nor offer its own in their place. */
#include <stdlib.h>

void json_loadb(void);
void json_object_get(void);
void json_string_value(void);
void json_delete(void);
void json_object_seed(void);
void jsonp_malloc(void);

void json_loadb(void)
{
  abort();
}

void json_object_get(void)
{
  abort();
}

void json_string_value(void)
{
  abort();
}

void json_delete(void)
{
  abort();
}

void json_object_seed(void)
{
  abort();
}

void jsonp_malloc(void)
{
  abort();
}
