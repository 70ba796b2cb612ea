# limits_back LIMITS NAME SETTINGS: NAME needs the raised limits no more. The
# last one who does puts back what was there before.
limits_back() {
    [ -d "$1" ] || return 0
    (
        flock 9 || exit 1
        rm -f "$1/for-$2"
        for other in "$1"/for-*; do
            [ ! -e "$other" ] || exit 0
        done
        for setting in max_user_instances max_user_watches; do
            [ -e "$1/$setting" ] || continue
            cat "$1/$setting" >"$3/$setting" && rm "$1/$setting" || exit 1
        done
    ) 9>>"$1/lock"
}
