# tap.sh - what the shell tests share: each check is one test, told in TAP. To be sourced.

n_checks=0
n_failed=0

# check NAME COMMAND...: the test passes if the command does; what the command says is shown if it fails.
check() {
  name=$1
  shift
  n_checks=$((n_checks + 1))
  if output=$("$@" 2>&1); then
    echo "ok $n_checks - $name"
  else
    n_failed=$((n_failed + 1))
    echo "not ok $n_checks - $name"
    printf '%s\n' "$output" | head -n 40 | sed 's/^/# /'
  fi
}

# nothing COMMAND...: succeeds if the command prints nothing; what it prints is what is wrong.
nothing() {
  found=$("$@" 2>&1)
  test -z "$found" || { printf '%s\n' "$found"; return 1; }
}

# equal FOUND EXPECTED: two texts, and the difference if there is one.
equal() {
  test "$1" = "$2" && return
  printf 'found:\n%s\nexpected:\n%s\n' "$1" "$2"
  return 1
}

# skip NAME REASON: a test that cannot be made here; the report says why.
skip() {
  n_checks=$((n_checks + 1))
  echo "ok $n_checks - $1 # SKIP $2"
}

# skip_all REASON: nothing can be tested here; the report says why.
skip_all() {
  echo "ok 1 - # SKIP $1"
  echo '1..1'
  exit 0
}

# The last line of every test.
finish() {
  echo "1..$n_checks"
  test "$n_failed" -eq 0
  exit
}
