#!/bin/sh
# The tests of pages need a Chromium: install Debian's where that is possible, say what is missing where not.
for name in chromium chromium-browser google-chrome; do
    command -v $name >/dev/null 2>&1 && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y chromium >/dev/null && exit 0
fi
echo "The tests need Chromium: install the package 'chromium', or put 'chromium' or 'google-chrome' on PATH." >&2
exit 1
