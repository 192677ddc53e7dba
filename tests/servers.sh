#!/bin/sh
# The tests of real servers need some of Debian's: install those where that is possible, say what is missing where not.
PATH=$PATH:/usr/sbin
missing=

# needs PROGRAM PACKAGE: note the package unless the program, or the file, is there
needs() {
    command -v "$1" >/dev/null 2>&1 || test -e "$1" || missing="$missing $2"
}

needs mosquitto mosquitto
needs prosody prosody
needs nginx nginx-light
needs squid squid
needs /usr/lib/nginx/modules/ngx_nchan_module.so libnginx-mod-nchan

[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    policy=/usr/sbin/policy-rc.d # says that no service is to be started; the tests start their own
    if [ ! -e $policy ]; then
        trap 'rm -f $policy' EXIT
        printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy
    fi
    # shellcheck disable=SC2086
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        -o DPkg::Lock::Timeout=300 $missing >/dev/null && exit 0
fi
echo "The tests need servers: install the packages$missing." >&2
exit 1
