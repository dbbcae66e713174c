#!/bin/bash
# assemble_archive.sh OUT PROGRAMS: fills the folder OUT with what runs on any Linux of this kind of processor with glibc 2.36
# or later: bin/ with the programs out of PROGRAMS and Kafka's command lines, lib/ with the libraries they load, config/.
set -eu
out=$1 programs=$2
here=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$out/bin" "$out/lib" "$out/config/kraft"
for program in millrace millctl; do
  install -s -m 755 "$programs/$program" "$out/bin/"
  # "libx.so => /lib/libx.so (0x...)"; the C library and its parts belong to the machine.
  ldd "$programs/$program" | sed -n 's/^.*=> \(\/[^ ]*\) (.*$/\1/p'
done | sort -u | grep -vE '/(libc|libm|libdl|librt|libpthread|libresolv)\.so' | while read -r library; do
  install -m 755 "$library" "$out/lib/"
done
install -m 755 "$here"/kafka-bin/*.sh "$out/bin/"
chmod 644 "$out/bin/lib.sh"
# Kafka up to 3.9 keeps the file of a broker without ZooKeeper one folder deeper; articles name either.
install -m 644 "$here/kafka-bin/config/server.properties" "$out/config/"
install -m 644 "$here/kafka-bin/config/server.properties" "$out/config/kraft/"
install -m 644 "$here/../LICENSE" "$here/../README.md" "$out/"
