/* cxx17.cpp - a C++17 program that pulls a continuation piece by piece, and leaves the freeing to its pointers. */
#include <gpt2.h>

#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

template <auto function> struct freed_by {
  template <typename T> void operator()(T *handle) const { function(handle); }
};
using model_pointer = std::unique_ptr<gpt2_model, freed_by<gpt2_model_free>>;
using context_pointer = std::unique_ptr<gpt2_context, freed_by<gpt2_context_free>>;
using generation_pointer = std::unique_ptr<gpt2_generation, freed_by<gpt2_generation_free>>;

static void expect(gpt2_status status, const gpt2_error &error)
{
  if (status != GPT2_OK)
    throw std::runtime_error(error.message);
}

static std::string tell(const char *path, std::string_view prompt)
{
  gpt2_error error{};
  error.struct_size = sizeof error;

  gpt2_model *model = nullptr;
  expect(gpt2_load(path, nullptr, &model, &error), error);
  model_pointer model_owner(model);

  gpt2_context *context = nullptr;
  expect(gpt2_context_new(model, nullptr, &context, &error), error);
  context_pointer context_owner(context);

  gpt2_generate_options options{};
  options.struct_size = sizeof options;
  options.max_tokens = 10;
  gpt2_generation *generation = nullptr;
  expect(gpt2_generation_new(context, prompt.data(), prompt.size(), &options, &generation),
         *gpt2_context_error(context));
  generation_pointer generation_owner(generation);

  std::string text;
  gpt2_piece piece{};
  piece.struct_size = sizeof piece;
  while (piece.finish == GPT2_FINISH_NONE) {
    expect(gpt2_generation_next(generation, &piece), *gpt2_context_error(context));
    text.append(piece.text, piece.size);
  }
  return text;
}

int main(int argc, char **argv)
{
  if (argc != 2)
    return 2;
  try {
    std::cout << tell(argv[1], "Once upon a time");
  } catch (const std::exception &failure) {
    std::cerr << failure.what() << '\n';
    return 1;
  }
}
