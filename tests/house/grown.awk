# grown.awk - of two dumps of abidw the second, without what structs that begin with their size have gained beyond their
# end in the first: programs that were compiled with those never look there.
#
#   awk -f grown.awk OLD NEW

# The value of an attribute of this line.
function value(name) {
  if (!match($0, " " name "='[^']*'"))
    return ""
  return substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 4)
}

function sized(name) {
  return name ~ /^gpt2_/ && name !~ /^gpt2_(blob|row|string|token_score)$/ # those stand in arrays
}

FNR == NR {
  if (/<class-decl /)
    size[value("name")] = value("size-in-bits")
  next
}

/<class-decl / {
  name = value("name")
  end = sized(name) ? size[name] + 0 : 0
  if (end > 0 && value("size-in-bits") + 0 > end)
    sub(/size-in-bits='[0-9]*'/, "size-in-bits='" end "'")
}
/<data-member / { beyond = end > 0 && value("layout-offset-in-bits") + 0 >= end }
!beyond { print }
/<\/data-member>/ { beyond = 0 }
/<\/class-decl>/ { end = 0 }
