#!/bin/sh
# What `make bench ARGS=fresh` measures through and with: proxies and browsers, Debian's, and not as services.
packages=
need() { PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null 2>&1 || packages="$packages $2"; }
need nginx nginx; need haproxy haproxy; need apache2 apache2; need caddy caddy
need chromium chromium; need firefox-esr firefox-esr
[ -z "$packages" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && trap 'rm -f $policy' EXIT
    fi
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >/dev/null && exit 0
fi
echo "This benchmark needs proxies and browsers: install$packages." >&2
exit 1
