/* c11.c - a C11 program that does by hand what generation is made of: encode, evaluate, sample,
 * decode. */
#include <gpt2.h>
#include <stdio.h>

_Static_assert(sizeof(gpt2_row) == 16, "rows stand in arrays, so their size is fixed");

enum { N_TOKENS = 10, MAX_PROMPT = 16 };

/* Draws N_TOKENS tokens after a prompt, and prints each. */
static gpt2_status tell(gpt2_model *model, gpt2_context *context, gpt2_error *error)
{
  static const char prompt[] = "Once upon a time";
  gpt2_token tokens[MAX_PROMPT];
  size_t n_tokens = 0;
  gpt2_status status =
      gpt2_encode(model, prompt, sizeof prompt - 1, 0, tokens, MAX_PROMPT, &n_tokens, error);
  for (int drawn = 0; status == GPT2_OK && drawn < N_TOKENS; drawn++) {
    const char *text = NULL;
    size_t size = 0;
    if (gpt2_eval(context, 0, tokens, n_tokens, 0) != GPT2_OK ||
        gpt2_sample(context, 0, NULL, &tokens[0]) != GPT2_OK) {
      *error = *gpt2_context_error(context);
      return error->status;
    }
    n_tokens = 1;
    status = gpt2_token_bytes(model, tokens[0], &text, &size, error);
    if (status == GPT2_OK)
      fwrite(text, 1, size, stdout);
  }
  return status;
}

int main(int argc, char **argv)
{
  gpt2_model *model = NULL;
  gpt2_context *context = NULL;
  gpt2_error error = {.struct_size = sizeof error};
  if (argc != 2)
    return 2;
  if (gpt2_load(argv[1], NULL, &model, &error) == GPT2_OK &&
      gpt2_context_new(model, NULL, &context, &error) == GPT2_OK)
    tell(model, context, &error);
  gpt2_context_free(context);
  gpt2_model_free(model);
  if (error.status != GPT2_OK)
    fprintf(stderr, "%s\n", error.message);
  return error.status != GPT2_OK;
}
