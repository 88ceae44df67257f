/* namesakes.c - functions of the program's own that are called as internal ones of the library are:
 * linked with the static library, neither may get the other's. */
#include <stdlib.h>

void *allocate(void);
void release(void);
void fail(void);
void matmul(void);
void pool_run(void);
void cursor_u32(void);
void source_file(void);
void tokenizer_load(void);
void config_check(void);

void *allocate(void)
{
  abort();
}

void release(void)
{
  abort();
}

void fail(void)
{
  abort();
}

void matmul(void)
{
  abort();
}

void pool_run(void)
{
  abort();
}

void cursor_u32(void)
{
  abort();
}

void source_file(void)
{
  abort();
}

void tokenizer_load(void)
{
  abort();
}

void config_check(void)
{
  abort();
}
