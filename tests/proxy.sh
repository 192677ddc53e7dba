#!/bin/sh
# The tests of proxies need tinyproxy and haproxy: install Debian's where that is possible, say what is missing where not.
packages=
need() { PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null 2>&1 || packages="$packages $2"; }
need tinyproxy tinyproxy-bin
need haproxy haproxy
[ -z "$packages" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y $packages >/dev/null && exit 0
fi
echo "The tests need proxies: install$packages, or put 'tinyproxy' and 'haproxy' on PATH." >&2
exit 1
