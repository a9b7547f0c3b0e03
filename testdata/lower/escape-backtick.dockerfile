# escape=`
FROM debian
WORKDIR /a`$b
RUN one `
 two
