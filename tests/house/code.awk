# code.awk - a C file without its comments and without what is in its strings; every line stays where it is.
{
  out = ""
  for (i = 1; i <= length($0); i++) {
    c = substr($0, i, 1)
    two = substr($0, i, 2)
    if (in_comment) {
      if (two == "*/") { in_comment = 0; i++ }
    } else if (quote != "") {
      if (c == "\\") i++
      else if (c == quote) { out = out c; quote = "" }
    } else if (two == "/*") { in_comment = 1; i++ }
    else if (two == "//") break
    else {
      if (c == "\"" || c == "'") quote = c
      out = out c
    }
  }
  print out
}
