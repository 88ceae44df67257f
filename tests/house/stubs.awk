# stubs.awk - of a header without comments, a body for every function that it declares: a library with the same binary
# interface and nothing in it.
/^GPT2_API/ { declaring = 1 }
declaring {
  declaration = declaration $0 "\n"
  if (/;[ \t]*$/) {
    body = declaration ~ /^GPT2_API void [a-z]/ ? "{}" : "{ return 0; }"
    sub(/;[ \t\n]*$/, body, declaration)
    print declaration
    declaration = ""
    declaring = 0
  }
}
