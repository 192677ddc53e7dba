#!/bin/sh
# The tests of proxies need tinyproxy: install Debian's where that is possible, say what is missing where not.
command -v tinyproxy >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y tinyproxy-bin >/dev/null && exit 0
fi
echo "The tests need tinyproxy: install the package 'tinyproxy-bin', or put 'tinyproxy' on PATH." >&2
exit 1
