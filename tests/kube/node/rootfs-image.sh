#!/bin/bash
# Packs a folder as a docker archive of one layer, without any container tool: rootfs-image.sh NAME:TAG FOLDER OUT.tar [CMD ...]
# CMD is the default command; with IMAGE_ENTRYPOINT=yes it is the entry point, and arguments are added to it. IMAGE_USER=UID:GID.
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,3s/^# //p' "$0" >&2; exit 2; }
name=$1 root=$2 out=$3
shift 3
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
tar -C "$root" --numeric-owner --owner=0 --group=0 --sort=name --mtime=@0 -cf "$tmp/layer.tar" .
sum=$(sha256sum "$tmp/layer.tar" | cut -d' ' -f1)
case $(uname -m) in aarch64) arch=arm64 ;; *) arch=amd64 ;; esac
key=Cmd
[ -z "${IMAGE_ENTRYPOINT:-}" ] || key=Entrypoint
jq -nc --arg d "sha256:$sum" --arg a "$arch" --arg key "$key" --arg user "${IMAGE_USER:-}" \
  '{architecture:$a, os:"linux", created:"1970-01-01T00:00:00Z",
    config:({User:$user, Env:["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]} + {($key):$ARGS.positional}),
    rootfs:{type:"layers", diff_ids:[$d]}}' --args -- "$@" >"$tmp/config.json"
jq -nc --arg n "$name" '[{Config:"config.json", RepoTags:[$n], Layers:["layer.tar"]}]' >"$tmp/manifest.json"
tar -C "$tmp" -cf "$out" manifest.json config.json layer.tar
