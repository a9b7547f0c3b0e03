# a comment
from busybox
  # another
run echo a > /a
Cmd ["x"]
