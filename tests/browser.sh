#!/bin/sh
# The tests of pages need a Chromium and a Firefox: install Debian's where that is possible, say what is missing where not.
missing() {
    for name in $1; do command -v "$name" >/dev/null 2>&1 && return 1; done
    return 0
}
packages=
missing "chromium chromium-browser google-chrome" && packages=chromium
missing "firefox-esr firefox" && packages="$packages firefox-esr"
test -z "$packages" && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y $packages >/dev/null && exit 0
fi
echo "The tests need $packages: install these packages, or put 'google-chrome' and 'firefox' on PATH." >&2
exit 1
