# Removes what only the run needed; the marker stays. stdin: token, directory.
read_place
rm -rf "$state".new.* "$state".old.* "$state"/io.*
rm -f "$state/script" "$state/batch" "$state/submit" "$state/environment" "$state/complete" "$state"/exit.*
answer tidied=yes
