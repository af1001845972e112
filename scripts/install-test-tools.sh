#!/usr/bin/env bash
# Installs the programs that some tests need, on Debian and its kin. Without them those tests are skipped and named in
# the summary; with CI=true they count as failed.
#
#   strace       makes single system calls of a real program fail, or kills it at one of them
#   util-linux   unshare: other pid namespaces, as in a container; mount: a small tmpfs that runs full; prlimit: a program
#                that runs out of memory
#   procps       ps: what processes a test has left behind
#   python3      reads images by the documented format alone, without any of our code; with the modules brotli and zstandard
#                also those that are compressed, which it refuses without
#
# Needs root. Does nothing when all of them are there.
set -euo pipefail

declare -A package_of=([strace]=strace [unshare]=util-linux [mount]=mount [prlimit]=util-linux [ps]=procps [python3]=python3)
missing=()
for tool in "${!package_of[@]}"; do
  command -v "$tool" >/dev/null || missing+=("${package_of[$tool]}")
done
python=/usr/bin/python3
[ -x "$python" ] || python=python3
for module in brotli zstandard; do
  "$python" -c "import $module" 2>/dev/null || missing+=("python3-$module")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "install-test-tools: there is no apt-get here; install these another way: ${missing[*]}" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
