#!/bin/sh
# Makes packages that lie unpacked in the tree packages that dpkg has installed. The module that this file is part of says
# what is in $notes.
set -eu
umask 022

notes=/dev/flashbuild/packages
admin=/var/lib/dpkg
line='
'
keys='/etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub'

fail() {
    echo "$*" >&2
    exit 1
}

# What dpkg says of a package before any of this: its version, if it is installed.
installed_version() {
    case $before in
    *"$line$1 "*)
        rest=${before#*"$line$1 "}
        echo "${rest%%"$line"*}"
        ;;
    esac
}

# Whether this step brings the package of this stem.
is_new() {
    case $new in
    *" $1 "*) return 0 ;;
    esac
    return 1
}

take_over_notes() {
    mkdir -p "$admin/info" "$admin/updates" "$admin/triggers" "$admin/alternatives" "$admin/parts"
    [ -e "$admin/info/format" ] || echo 1 >"$admin/info/format"
    [ -e "$admin/status" ] || : >"$admin/status"
    # Without it, dpkg would take itself for newly upgraded from a version without triggers, and set off all of them.
    [ -e "$admin/triggers/Unincorp" ] || : >"$admin/triggers/Unincorp"
    before=$line$(dpkg-query --show --showformat '${db:Status-Status} ${Package} ${Version}\n' 2>/dev/null |
        sed -n 's/^installed //p')$line
    paths_before=$(cat "$admin/triggers/File" 2>/dev/null || :)
    new=' '
    old=' '
    number=0
    while read -r name version stem; do
        was=$(installed_version "$name")
        [ "$was" != "$version" ] || continue
        new="$new$stem "
        rm -f "$admin/info/$stem.preinst" "$admin/info/$stem.postinst" "$admin/info/$stem.prerm" \
            "$admin/info/$stem.postrm" "$admin/info/$stem.config" "$admin/info/$stem.templates" \
            "$admin/info/$stem.triggers" "$admin/info/$stem.conffiles" "$admin/info/$stem.md5sums" \
            "$admin/info/$stem.shlibs" "$admin/info/$stem.symbols"
        for file in "$notes/new/$stem/info"/*; do
            cp -p "$file" "$admin/info/$stem.${file##*/}"
        done
        cat "$notes/new/$stem/status" >"$(printf %s/updates/%04d "$admin" "$number")"
        if [ -n "$was" ]; then
            old="$old$stem=$was "
            echo "Config-Version: $was" >>"$(printf %s/updates/%04d "$admin" "$number")"
        fi
        number=$((number + 1))
    done <"$notes/packages"
    for file in "$notes/triggers"/*; do
        [ -e "$file" ] || continue
        to=$admin/triggers/${file##*/}
        while read -r wish; do
            grep -qsxF -- "$wish" "$to" || echo "$wish" >>"$to"
        done <"$file"
    done
}

# What was made in the place of scripts is theirs to make, now that they run: else it would pass for somebody's own choice.
forget_imitations() {
    [ -n "$(installed_version base-files)" ] || rm -f /usr/local/man
    [ -n "$(installed_version ca-certificates)" ] || rm -f /etc/ca-certificates.conf
    for link in /etc/alternatives/*; do
        if [ -L "$link" ] && ! grep -qsxF -- "${link##*/}" "$admin/alternatives"/* &&
            [ ! -e "$admin/alternatives/${link##*/}" ]; then
            rm "$link"
        fi
    done
}

# Packages that were installed before hear of new files in the folders that they watch.
set_off_triggers() {
    [ -n "$paths_before" ] || return 0
    echo "$paths_before" | while read -r path package; do
        for stem in $new; do
            if grep -qF -- "$path/" "$admin/info/$stem.list"; then
                dpkg-trigger --no-await --by-package="${package%/noawait}" "$path" || :
                break
            fi
        done
    done
}

# As dpkg does it, from a folder that debconf looks into.
preinst() {
    stem=$1
    echo "preinst of $stem"
    rm -rf "$admin/tmp.ci"
    mkdir "$admin/tmp.ci"
    cp "$notes/new/$stem/info"/* "$admin/tmp.ci/"
    sed '/^Status: /d' "$notes/new/$stem/status" >"$admin/tmp.ci/control"
    chmod 755 "$admin/tmp.ci/preinst"
    set -- install
    case $old in
    *" $stem="*)
        was=${old#*" $stem="}
        set -- upgrade "${was%% *}" "$(sed -n 's/^Version: //p' "$admin/tmp.ci/control")"
        ;;
    esac
    DPKG_MAINTSCRIPT_PACKAGE=${stem%%:*} DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1 DPKG_MAINTSCRIPT_NAME=preinst \
        DPKG_MAINTSCRIPT_ARCH=$(sed -n 's/^Architecture: //p' "$admin/tmp.ci/control") \
        DPKG_MAINTSCRIPT_DEBUG=0 DPKG_RUNNING_VERSION=$(dpkg-query --show --showformat '${Version}' dpkg || :) \
        DPKG_ADMINDIR=$admin DPKG_ROOT='' "$admin/tmp.ci/preinst" "$@" </dev/null ||
        fail "the preinst script of $stem failed"
    rm -rf "$admin/tmp.ci"
}

configure() {
    dpkg --force-unsafe-io --log=/dev/null --configure "$@" </dev/null || fail "dpkg could not configure the packages"
}

follow_order() {
    while read -r action stems; do
        wanted=
        for stem in $stems; do
            ! is_new "$stem" || wanted="$wanted $stem"
        done
        case $action in
        preinst) [ -z "$wanted" ] || preinst $wanted ;;
        configure) [ -z "$wanted" ] || configure $wanted ;;
        all) configure --pending ;;
        esac
    done <"$notes/order"
}

# Scanners would count what is noted in both places twice.
leave_one_database() {
    while read -r name version stem; do
        rm -f "$admin/status.d/$name" "$admin/status.d/$name.md5sums"
    done <"$notes/packages"
    rmdir "$admin/status.d" 2>/dev/null || :
}

# What would differ the next time, or belongs to one machine.
forget_the_moment() {
    rm -f "$admin/status-old" "$admin/available-old" "$admin/diversions-old" "$admin/statoverride-old" \
        "$admin/lock" "$admin/lock-frontend" "$admin/triggers/Lock" \
        /var/cache/ldconfig/aux-cache /var/cache/debconf/*-old /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- \
        /etc/subuid- /etc/subgid- /etc/.pwd.lock
    rm -rf /run/adduser /var/cache/man/*
    rm -f /var/log/alternatives.log /var/log/dpkg.log
    # Somebody's program may count on its log being there.
    for file in $(find /var/log -xdev -type f -newer /dev/flashbuild/started -size +0 2>/dev/null); do
        : >"$file"
    done
    for key in $keys; do
        case $keys_before in
        *" $key "*) ;;
        *) [ ! -e "$key" ] || rm -f "$key" ;;
        esac
    done
    if [ -s /etc/machine-id ] && [ -z "$machine_before" ]; then
        echo uninitialized >/etc/machine-id
        rm -f /var/lib/dbus/machine-id
    fi
}

: >/dev/flashbuild/started
keys_before=" $(echo $keys) "
machine_before=$(cat /etc/machine-id 2>/dev/null || :)
take_over_notes
forget_imitations
set_off_triggers
follow_order
if [ "$new" != ' ' ]; then
    problems=$(dpkg --audit $new || :)
    [ -z "$problems" ] || fail "$problems"
fi
leave_one_database
forget_the_moment
