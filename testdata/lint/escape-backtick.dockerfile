# escape=`
FROM alpine
COPY C:\$dir `
  /x/
