# structs.awk - which members of the header's structs break its rules (gpt2.h's code, see code.awk). `elements` names
# the structs that stand in arrays.
BEGIN {
  number = "u?int(8|16|32|64)_t|float|double|gpt2_status|gpt2_token"
  plain = "^(" number ") [a-z_0-9]+(, [a-z_0-9]+)*;$"
  text = "^char [a-z_0-9]+\\[[0-9]+\\];$"
  pointer = "^(const )?[a-z_0-9]+ \\*[a-z_0-9]+;$"
  callback = "^gpt2_(log_callback|parallel_for|abort_callback) [a-z_0-9]+;$"
  function_pointer = "^[a-z_0-9 ]+[ *]\\(\\*[a-z_0-9]+\\)\\(.*\\);$"
}

/^typedef struct gpt2_[a-z_0-9]+ \{/ { name = $3; n = 0; n_structs++; next }
/^\}/ && name { if (n == 0) print name ": no members"; name = "" }

name && NF {
  $1 = $1 # one blank between words, none around
  n++
  is_element = index(elements, " " name " ")
  if (n == 1 && !is_element && $0 != "uint32_t struct_size;") print name ": begins with " $0
  if (is_element && /struct_size/) print name ": an array element has no size in it"
  if ($0 !~ plain && $0 !~ text && $0 !~ pointer && $0 !~ callback && $0 !~ function_pointer)
    print name ": " $0
}

END { if (n_structs < 10) print "only " n_structs + 0 " structs were found" }
