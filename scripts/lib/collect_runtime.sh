#!/bin/bash
# collect_runtime.sh OUT PROGRAM ...: fills OUT with the programs, the libraries they load, and a user:
# the root of a container image that holds nothing else.
set -eu
out=$1
shift
mkdir -p "$out/usr/bin" "$out/etc" "$out/tmp"
chmod 1777 "$out/tmp"
for program in "$@"; do
  install -s -m 755 "$program" "$out/usr/bin/"
  # "libx.so => /lib/libx.so (0x...)" and "/lib64/ld-linux-x86-64.so.2 (0x...)"
  ldd "$program" | sed -n 's/^.*=> \(\/[^ ]*\) (.*$/\1/p; s/^\t\(\/[^ ]*\) (.*$/\1/p'
done | sort -u | while read -r library; do
  install -D -m 755 "$library" "$out$library"
done
echo 'millrace:x:65532:65532:millrace:/data:/sbin/nologin' >"$out/etc/passwd"
echo 'millrace:x:65532:' >"$out/etc/group"
echo 'hosts: files dns' >"$out/etc/nsswitch.conf"
