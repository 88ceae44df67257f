# packages.sh - installs what is missing on Debian and its like. To be sourced.
#
#   need_packages PACKAGE...
#
# says on standard error what it does, and does nothing when all of them are there. Needs root or sudo only when
# something is missing. On other systems it says what is needed and lets the build find out.

need_packages() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "This is not Debian: nothing is installed. Needed are (as Debian calls them): $*" >&2
    return 0
  fi
  missing_packages=
  for package in "$@"; do
    case $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) in
      installed) ;;
      *) missing_packages="$missing_packages $package" ;;
    esac
  done
  if [ -z "$missing_packages" ]; then
    return 0
  fi
  as_root=
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "Missing, and neither root nor sudo to install them:$missing_packages" >&2
      return 1
    fi
    as_root=sudo
  fi
  echo "Installing what is missing:$missing_packages" >&2
  # Standard input belongs to the caller: it may be a prompt. Package names have no spaces.
  # shellcheck disable=SC2086
  $as_root apt-get update </dev/null >&2 &&
    $as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y --no-install-recommends $missing_packages </dev/null >&2 || {
    echo "These packages could not be installed:$missing_packages" >&2
    return 1
  }
}
