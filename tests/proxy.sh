#!/bin/sh
# The tests of proxies, and of docs/deploying.md, need these: install Debian's where that is possible, say what is missing where not.
packages=
need() { PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null 2>&1 || packages="$packages $2"; }
need tinyproxy tinyproxy-bin
need haproxy haproxy
need nginx nginx-light
need apache2 apache2
need caddy caddy
need systemd-analyze systemd
[ -z "$packages" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    policy=/usr/sbin/policy-rc.d # says that no service is to be started; the tests start their own
    if [ ! -e $policy ]; then
        trap 'rm -f $policy' EXIT
        printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy
    fi
    # shellcheck disable=SC2086
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        -o DPkg::Lock::Timeout=300 $packages >/dev/null && exit 0
fi
echo "The tests need proxies: install$packages." >&2
exit 1
