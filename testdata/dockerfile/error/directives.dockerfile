# escape=\
# syntax=example.com/other/frontend:1
# escape=`
FROM scratch
