# functions.awk - which functions of a C file (its code, see code.awk) are longer than `most` lines. Functions begin
# with a brace in the first column, and end with one.
/^[A-Za-z_].*\(/ { name = $0 }
/^\{/ { start = NR }
/^\}/ && start { if (NR - start + 1 > most) print file ": " name ": " NR - start + 1 " lines"; start = 0 }
