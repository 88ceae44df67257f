/* c99.c - a C99 program that uses the installed library the short way: one call that streams a
 * continuation. */
#include <gpt2.h>
#include <stdio.h>

static int32_t print_piece(const gpt2_piece *piece, void *user)
{
  fwrite(piece->text, 1, (size_t)piece->size, (FILE *)user);
  return 0;
}

int main(int argc, char **argv)
{
  gpt2_model *model = NULL;
  gpt2_context *context = NULL;
  gpt2_generate_options options = {0};
  gpt2_error error = {0};
  error.struct_size = sizeof error;
  options.struct_size = sizeof options;
  options.max_tokens = 10;
  if (argc != 2)
    return 2;
  if (gpt2_load(argv[1], NULL, &model, &error) == GPT2_OK &&
      gpt2_context_new(model, NULL, &context, &error) == GPT2_OK &&
      gpt2_generate(context, "Once upon a time", 16, &options, print_piece, stdout, NULL) !=
          GPT2_OK)
    error = *gpt2_context_error(context);
  gpt2_context_free(context);
  gpt2_model_free(model);
  if (error.status != GPT2_OK)
    fprintf(stderr, "%s\n", error.message);
  return error.status != GPT2_OK;
}
