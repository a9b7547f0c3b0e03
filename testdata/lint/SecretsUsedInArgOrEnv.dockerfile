FROM scratch
ARG SECRET_PASSPHRASE npm_token
ENV Api_Key=1 password=2 harmless=3
