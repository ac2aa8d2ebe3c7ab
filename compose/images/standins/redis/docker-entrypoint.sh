#!/bin/sh
# The official image's contract: options alone mean redis-server, which never runs as root; other commands run as given.
set -e
if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then set -- redis-server "$@"; fi
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    find . \! -user redis -exec chown redis '{}' +
    exec setpriv --reuid=redis --regid=redis --clear-groups -- "$0" "$@"
fi
if [ "$1" = redis-server ]; then
    umask 0077
    # Official builds have protected mode off; the distribution's has it on.
    case " $* " in *' --protected-mode '*) ;; *) set -- "$@" --protected-mode no ;; esac
fi
exec "$@"
