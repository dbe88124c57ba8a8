# Removes what only the run needed; the marker stays. stdin: token, directory.
read_place
rm -rf "$_state".new.* "$_state".old.* "$_state"/io.*
rm -f "$_state/script" "$_state/batch" "$_state/submit" "$_state/environment" "$_state/complete" "$_state"/exit.* "$_state/job"
answer tidied=yes
