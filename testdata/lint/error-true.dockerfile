# check=error=true
FROM scratch as base
